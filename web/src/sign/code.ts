// A claim code as people type it: groups of four from an alphabet without letters that look like others.

const DIGITS = 20;
const GROUP = 4;

/** In groups with hyphens; what reads alike is taken for what was meant, what cannot stand in a code is dropped. */
export function grouped(text: string): string {
  const meant = text.toUpperCase().replace(/[IL]/g, '1').replace(/O/g, '0');
  const digits = meant.replace(/[^0-9A-HJKMNP-TV-Z]/g, '').slice(0, DIGITS);
  return (digits.match(new RegExp(`.{1,${GROUP}}`, 'g')) ?? []).join('-');
}

export function whole(code: string): boolean {
  return code.replace(/-/g, '').length === DIGITS;
}
