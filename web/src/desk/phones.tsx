// Telephone numbers, the school's own first; a phone dials them at a touch.
import type { JSX } from 'preact';
import type { Contact } from '../model';
import { word } from '../texts';
import { Icon } from '../ui/icon';

export function Phones({ contacts }: { contacts: readonly Contact[] }): JSX.Element {
  return (
    <ul class="phones">
      {contacts.map(({ name, phone }) => (
        <li key={`${name} ${phone}`}>
          <a href={`tel:${phone.replace(/[^+\d]/g, '')}`}>
            <Icon name="phone" size={18} /> {name} <strong>{phone}</strong>
          </a>
        </li>
      ))}
      {(['119', '110', '120'] as const).map((number) => (
        <li key={number}>
          <a href={`tel:${number}`}>
            <Icon name="phone" size={18} /> {word('emergency', number)} <strong>{number}</strong>
          </a>
        </li>
      ))}
    </ul>
  );
}
