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
  { path: '/devices', right: 'see', name: 'nav.devices', icon: 'device', load: () => import('./pages/devices') },
  { path: '/devices/:id', right: 'see', name: 'nav.devices', icon: 'device', hidden: true, load: () => import('./pages/device') },
  { path: '/energy', right: 'energy', name: 'nav.energy', icon: 'chart', load: () => import('./pages/energy') },
  { path: '/rules', right: 'see', name: 'nav.rules', icon: 'rules', load: () => import('./pages/rules') },
  { path: '/reports', right: 'reports', name: 'nav.reports', icon: 'report', load: () => import('./pages/reports') },
  { path: '/uploads', right: 'diagnose', name: 'nav.uploads', icon: 'upload', load: () => import('./pages/uploads') },
  { path: '/system', right: 'diagnose', name: 'nav.system', icon: 'system', load: () => import('./pages/system') },
  { path: '/users', right: 'accounts', name: 'nav.users', icon: 'people', load: () => import('./pages/users') },
  { path: '/approvals', right: 'approve', name: 'nav.approvals', icon: 'check', load: () => import('./pages/approvals') },
  { path: '/audit', right: 'audit', name: 'nav.audit', icon: 'audit', load: () => import('./pages/audit') },
  { path: '/me', right: 'own', name: 'nav.me', icon: 'user', hidden: true, load: () => import('./pages/me') },
];
