// Who is signed in and what they may do.
import { Cell } from './cell';

export type Right =
  | 'open' | 'own' | 'see' | 'energy' | 'act' | 'hush' | 'arm' | 'respond' | 'drill' | 'control' | 'pictures'
  | 'reports' | 'diagnose' | 'work' | 'persons' | 'approve' | 'audit' | 'accounts';

export type Role = 'viewer' | 'guard' | 'kiosk' | 'technician' | 'admin' | 'auditor' | 'privacy';

export interface Session {
  claimed: boolean;
  signed_in: boolean;
  name: string | null;
  role: Role | null;
  rights: Right[];
  kiosk: boolean;
  idle_secs: number | null;
  csrf: string | null;
  oidc: { name: string } | null;
  site: string | null;
  lang?: string;
  /** The gateway ended it: it was not signed out by hand. */
  dropped?: boolean;
}

/** Null until the gateway has said. */
export const session = new Cell<Session | null>(null);

export function may(right: Right): boolean {
  const now = session.get();
  return right === 'open' || (!!now?.signed_in && (right === 'own' || now.rights.includes(right)));
}

const GUARD = 'guard';
function storedGuard(): string {
  try {
    return sessionStorage.getItem(GUARD) ?? '';
  } catch {
    return '';
  }
}

/** Who sits at the screen of a guard room; it asks once a shift. Empty when not known. */
export const guardName = new Cell<string>(storedGuard());
guardName.watch(() => {
  try {
    sessionStorage.setItem(GUARD, guardName.get());
  } catch {
    // Not kept then: it asks again after a reload.
  }
});

/** What orders carry: a person acts in their own name, a guard room's screen says for whom. */
export function acting(): { actor?: string } {
  return session.get()?.kiosk ? { actor: guardName.get() } : {};
}
