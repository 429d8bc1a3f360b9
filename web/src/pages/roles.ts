// Which role may do what, as the gateway has it in src/access/role.rs; a test compares the two.
import type { Right, Role } from '../session';

export const ROLES: readonly Role[] = ['viewer', 'guard', 'kiosk', 'technician', 'admin', 'auditor', 'privacy'];

export const RIGHTS: Readonly<Record<Role, readonly Right[]>> = {
  viewer: ['see', 'energy', 'reports'],
  guard: ['see', 'act', 'hush', 'arm', 'respond', 'drill', 'control', 'pictures', 'reports'],
  kiosk: ['see', 'act', 'respond', 'pictures'],
  technician: ['see', 'energy', 'hush', 'control', 'reports', 'diagnose', 'work'],
  admin: ['see', 'energy', 'act', 'hush', 'arm', 'respond', 'drill', 'control', 'pictures', 'reports', 'diagnose', 'work', 'approve', 'audit', 'accounts'],
  auditor: ['see', 'reports', 'diagnose', 'audit'],
  privacy: ['see', 'persons', 'approve', 'audit'],
};

/** Every right that some role has, in the order in which they are explained. */
export const EXPLAINED: readonly Right[] = [
  'see', 'energy', 'act', 'hush', 'arm', 'respond', 'drill', 'control', 'pictures', 'reports', 'diagnose', 'work', 'persons', 'approve', 'audit', 'accounts',
];

/** Shorter passwords are refused. */
export const LEAST_PASSWORD = 12;
