// Every page: its path, the right it needs, its name, and where its code is. Each is loaded when it is first shown.
import type { ComponentType } from 'preact';
import type { IconName } from './ui/icon';
import type { Right } from './session';
import type { Key } from './texts';

export interface PageProps {
  /** What stands in the gaps of the path. */
  gaps: Record<string, string>;
}

export interface PageEntry {
  path: string;
  right: Right;
  name: Key;
  icon: IconName;
  /** Not in the navigation: reached from another page. */
  hidden?: boolean;
  /** Takes the whole screen. */
  full?: boolean;
  load: () => Promise<{ default: ComponentType<PageProps> }>;
}

export const pages: readonly PageEntry[] = [
  { path: '/desk', right: 'act', name: 'nav.desk', icon: 'desk', full: true, load: () => import('./pages/desk') },
  { path: '/alarms', right: 'see', name: 'nav.alarms', icon: 'list', load: () => import('./pages/alarms') },
  { path: '/alarms/:id', right: 'see', name: 'nav.alarms', icon: 'list', hidden: true, load: () => import('./pages/alarm') },
  { path: '/hazards', right: 'see', name: 'nav.hazards', icon: 'high', load: () => import('./pages/hazards') },
  { path: '/map', right: 'see', name: 'nav.map', icon: 'map', load: () => import('./pages/map') },
  { path: '/muster', right: 'see', name: 'nav.muster', icon: 'people', load: () => import('./pages/muster') },
];
