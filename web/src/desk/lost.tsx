// The gateway is not heard: nothing on this screen can be trusted, and it says so over everything.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { t } from '../texts';
import { Button } from '../ui/button';
import { Icon } from '../ui/icon';
import { span, time, useNow } from '../ui/time';
import { useSiren } from './siren';

export function Lost({ since }: { since: number }): JSX.Element {
  const now = useNow();
  const [known, setKnown] = useState(false);
  useSiren(known ? null : 'lost', 'lost');
  const words = t('lost.since', { time: time(since), span: span(now - since) });
  if (known) {
    return (
      <div class="lost-bar" role="alert">
        <Icon name="offline" /> <strong>{t('link_lost')}</strong> {words}
      </div>
    );
  }
  return (
    <div class="lost" role="alertdialog" aria-modal="true" aria-labelledby="lost-title" data-lost="true">
      <Icon name="offline" size={120} />
      <h1 id="lost-title">{t('link_lost')}</h1>
      <p>{words}</p>
      <p>{t('lost.meaning')}</p>
      <ol>
        <li>{t('lost.step_1')}</li>
        <li>{t('lost.step_2')}</li>
        <li>{t('lost.step_3')}</li>
      </ol>
      <Button big onClick={() => setKnown(true)}>
        {t('lost.known')}
      </Button>
    </div>
  );
}
