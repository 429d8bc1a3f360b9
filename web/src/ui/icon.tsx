// Small pictures that stand beside words, never in their place.
import type { JSX } from 'preact';

const PATHS = {
  fire: 'M12 2c1 4 5 6 5 11a5 5 0 0 1-10 0c0-2 1-3.500 2-4.500 0 2 1 3 2 3 1.500-2 0-5 1-9.500zM7 22h10',
  help: 'M6 16V10a6 6 0 0 1 12 0v6l2 3H4zM10 22h4M12 2v2M2 9l1-3M22 9l-1-3',
  intrusion: 'M4 21V5l8-3 8 3v16M9 21v-8h6v8M12 6v3',
  security: 'M12 2l8 3v6c0 5-3.500 9-8 11-4.500-2-8-6-8-11V5z',
  energy: 'M13 2L5 14h6l-1 8 8-12h-6z',
  environment: 'M12 3v11a4 4 0 1 1-2 0V4a2 2 0 0 1 2-1zM16 6h4M16 10h3',
  equipment: 'M4 5h16v10H4zM9 20h6M12 15v5',
  critical: 'M12 2l10 19H2zM12 9v6M12 17.500v.500',
  high: 'M12 3l9 9-9 9-9-9zM12 8v5M12 15.500v.500',
  medium: 'M4 12h16M12 4v16M4 4h16v16H4z',
  low: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 8v.500M12 11v6',
  check: 'M4 13l5 5L20 6',
  cross: 'M5 5l14 14M19 5L5 19',
  sound: 'M4 9v6h4l6 5V4L8 9zM17 8c2 2 2 6 0 8M20 5c4 4 4 10 0 14',
  mute: 'M4 9v6h4l6 5V4L8 9zM17 9l5 6M22 9l-5 6',
  phone: 'M5 3h4l2 5-3 2c1 3 3 5 6 6l2-3 5 2v4c0 1-1 2-2 2C10 21 3 14 3 5c0-1 1-2 2-2z',
  camera: 'M3 7h4l2-3h6l2 3h4v13H3zM12 10a4 4 0 1 0 0 8 4 4 0 0 0 0-8z',
  map: 'M3 6l6-3 6 3 6-3v15l-6 3-6-3-6 3zM9 3v15M15 6v15',
  people: 'M9 4a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7zM2 20c0-4 3-7 7-7s7 3 7 7M17 5a3 3 0 0 1 0 6M18 13c2.500.500 4 3 4 7',
  list: 'M4 6h16M4 12h16M4 18h16',
  desk: 'M3 4h18v12H3zM8 21h8M12 16v5M8 10h8',
  device: 'M5 3h14v18H5zM9 7h6M9 11h6M12 17v.500',
  chart: 'M4 3v18h17M8 17v-6M12 17V7M16 17v-9',
  rules: 'M5 4h14v17H5zM8 9l2 2 3-4M8 16h8',
  upload: 'M12 16V4M7 9l5-5 5 5M4 20h16',
  report: 'M6 2h9l4 4v16H6zM9 12h7M9 16h7',
  user: 'M12 3a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9zM4 21c0-5 3-8 8-8s8 3 8 8',
  audit: 'M4 4h12v16H4zM8 8h4M8 12h4M17 15l4 4M17 12a3 3 0 1 0 0 6',
  system: 'M4 4h16v6H4zM4 14h16v6H4zM8 7v.500M8 17v.500',
  lock: 'M5 11h14v10H5zM8 11V7a4 4 0 0 1 8 0v4',
  exit: 'M10 4H4v16h6M14 8l4 4-4 4M8 12h10',
  drill: 'M4 4l7 8-7 8M13 4l7 8-7 8',
  clock: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l4 2',
  place: 'M12 2a7 7 0 0 0-7 7c0 5 7 13 7 13s7-8 7-13a7 7 0 0 0-7-7zM12 7a2 2 0 1 0 0 4 2 2 0 0 0 0-4z',
  menu: 'M3 6h18M3 12h18M3 18h18',
  sun: 'M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M19 5l-1.500 1.500M6.500 17.500L5 19',
  moon: 'M20 14A9 9 0 1 1 10 4a7 7 0 0 0 10 10z',
  offline: 'M2 8c6-5 14-5 20 0M6 12c4-3 8-3 12 0M12 18v.500M3 3l18 18',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" width={size} height={size} aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

/** The icon of a word of the API, if it has one. */
export function iconOf(name: string, usual: IconName = 'low'): IconName {
  return name in PATHS ? (name as IconName) : usual;
}
