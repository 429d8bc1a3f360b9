// What a request of the stand-in is, and how it is answered.
import { Refused } from '../school.ts';

export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  body: Record<string, unknown>;
  /** Who asks. */
  name: string;
}

export interface Reply {
  status: number;
  body: unknown;
  /** JSON unless told otherwise. */
  type?: string;
}

export const ok = (body: unknown): Reply => ({ status: 200, body });
export const accepted = (body: unknown): Reply => ({ status: 202, body });

export function refused(status: number, zh: string, en: string): never {
  throw new Refused(status, zh, en);
}

export const notFound = (): never => refused(404, '没有这个路径', 'there is no such path');
