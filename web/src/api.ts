// Asking the gateway: one way for every request, every refusal in both languages.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { session, type Session } from './session';
import { lang } from './texts';

/** Why a request was not answered as asked (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly zh: string,
    readonly en: string,
    readonly type = 'about:blank',
    /** Seconds to wait before asking again, if the gateway said so. */
    readonly wait: number | null = null,
    /** The whole answer, for those that carry more than a sentence. */
    readonly body: unknown = null,
  ) {
    super(en);
  }

  get text(): string {
    return lang.get() === 'zh' ? this.zh : this.en;
  }

  /** The same in the other language: who sits there may read that one better. */
  get other(): string {
    return lang.get() === 'zh' ? this.en : this.zh;
  }
}

const UNCLAIMED = 'urn:schoolgate:unclaimed';
const TOO_LONG_MS = 20_000;

export function unreachable(): Problem {
  return new Problem(0, '无法连接网关，请检查网络', 'the gateway cannot be reached; check the network');
}

/** What a refusal says. */
export async function problemOf(response: Response): Promise<Problem> {
  let body: { detail?: unknown; detail_zh?: unknown; type?: unknown } = {};
  try {
    body = (await response.json()) as typeof body;
  } catch {
    // Not from the gateway's own routes: the status has to do.
  }
  const wait = Number(response.headers.get('Retry-After'));
  const en = typeof body.detail === 'string' ? body.detail : `the gateway answered ${response.status}`;
  const zh = typeof body.detail_zh === 'string' ? body.detail_zh : `网关返回 ${response.status}`;
  const type = typeof body.type === 'string' ? body.type : 'about:blank';
  return new Problem(response.status, zh, en, type, wait > 0 ? wait : null, body);
}

/** What a refusal says about who is signed in. */
export function heed(refused: Problem): void {
  const now = session.get();
  if (!now) return;
  if (refused.type === UNCLAIMED) session.set({ ...now, claimed: false, signed_in: false });
  else if (refused.status === 401 && now.signed_in) {
    session.set({ ...now, signed_in: false, name: null, role: null, rights: [], csrf: null, dropped: true });
  }
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** The answer, whatever it is made of; refused ones are thrown as `Problem`. */
export async function fetched(method: Method, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  const init: RequestInit = { method, headers, credentials: 'same-origin', cache: 'no-store' };
  if (method !== 'GET') {
    headers['Content-Type'] = 'application/json';
    const csrf = session.get()?.csrf;
    if (csrf) headers['X-CSRF'] = csrf;
    init.body = JSON.stringify(body ?? {});
  }
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), TOO_LONG_MS);
  const leave = (): void => late.abort();
  if (signal?.aborted) leave();
  signal?.addEventListener('abort', leave);
  init.signal = late.signal;
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch {
    throw unreachable();
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', leave);
  }
  if (response.ok) return response;
  const refused = await problemOf(response);
  heed(refused);
  throw refused;
}

async function json<T>(response: Response): Promise<T> {
  if (response.status === 204) return null as T;
  try {
    return (await response.json()) as T;
  } catch {
    throw new Problem(response.status, '网关的回答不完整，请重试', 'the answer of the gateway is cut off; try again');
  }
}

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return json<T>(await fetched('GET', path + asText(query), undefined, signal));
}
export async function post<T>(path: string, body?: unknown): Promise<T> {
  return json<T>(await fetched('POST', path, body));
}
export async function put<T>(path: string, body?: unknown): Promise<T> {
  return json<T>(await fetched('PUT', path, body));
}
export async function del<T>(path: string): Promise<T> {
  return json<T>(await fetched('DELETE', path));
}

export type Query = Record<string, string | number | boolean | null | undefined>;

export function asText(query: Query): string {
  const text = new URLSearchParams();
  for (const key of Object.keys(query)) {
    const value = query[key];
    if (value !== null && value !== undefined && value !== '') text.set(key, String(value));
  }
  const joined = text.toString();
  return joined ? `?${joined}` : '';
}

/** Anything thrown, as a problem that can be shown. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  const said = thrown instanceof Error ? thrown.message : String(thrown);
  return new Problem(0, `页面出错：${said}`, `the page failed: ${said}`);
}

export async function loadSession(): Promise<void> {
  session.set(await get<Session>('/api/v1/session'));
}

export interface Asked<T> {
  /** Null until the first answer. */
  value: T | null;
  problem: Problem | null;
  busy: boolean;
  again: () => void;
}

/** What is known so far, and the answer to what it is. */
interface Known<T> extends Omit<Asked<T>, 'again'> {
  key: string | null;
}

function nothing<T>(key: string | null): Known<T> {
  return { key, value: null, problem: null, busy: key !== null };
}

/**
 * Asks when the page is shown, whenever path or query change, and every `every` ms if given. What answers another
 * question than the present one is never given, however late or early it comes.
 */
export function useGet<T>(path: string | null, query: Query = {}, every?: number): Asked<T> {
  const key = path === null ? null : path + asText(query);
  const [known, set] = useState<Known<T>>(() => nothing(key));
  const [turn, next] = useState(0);
  useEffect(() => {
    if (key === null) return undefined;
    const leave = new AbortController();
    let timer = 0;
    const ask = async (): Promise<void> => {
      try {
        const value = await get<T>(key, {}, leave.signal);
        if (!leave.signal.aborted) set({ key, value, problem: null, busy: false });
      } catch (thrown) {
        const problem = asProblem(thrown);
        if (!leave.signal.aborted) set((old) => ({ ...(old.key === key ? old : nothing<T>(key)), problem, busy: false }));
      }
      if (every && !leave.signal.aborted) timer = window.setTimeout(() => void ask(), every);
    };
    set((old) => ({ ...(old.key === key ? old : nothing<T>(key)), busy: true }));
    void ask();
    return () => {
      leave.abort();
      clearTimeout(timer);
    };
  }, [key, turn, every]);
  const again = useCallback(() => next((count) => count + 1), []);
  const { value, problem, busy } = known.key === key ? known : nothing<T>(key);
  return { value, problem, busy, again };
}

export interface Page<T> {
  rows: T[];
  next_before: number | null;
}

export interface Paged<T> {
  rows: T[];
  problem: Problem | null;
  busy: boolean;
  /** Null when all is there. */
  more: (() => void) | null;
  again: () => void;
}

/** A list in pages, newest first; `more` adds the next page below. */
export function usePaged<T>(path: string, query: Query = {}): Paged<T> {
  const [state, set] = useState<{ rows: T[]; next: number | null; problem: Problem | null; busy: boolean }>({
    rows: [],
    next: null,
    problem: null,
    busy: true,
  });
  const [turn, again] = useState(0);
  const asked = useRef<AbortController | null>(null);
  const key = JSON.stringify([path, query]);
  const load = (before: number | null): void => {
    asked.current?.abort();
    const leave = new AbortController();
    asked.current = leave;
    set((old) => ({ ...old, busy: true, problem: null, ...(before === null ? { next: null } : {}) }));
    get<Page<T>>(path, { ...query, before }, leave.signal).then(
      (page) => {
        if (leave.signal.aborted) return;
        set((old) => ({
          rows: before === null ? page.rows : [...old.rows, ...page.rows],
          next: page.next_before ?? null,
          problem: null,
          busy: false,
        }));
      },
      (thrown: unknown) => {
        if (!leave.signal.aborted) set((old) => ({ ...old, problem: asProblem(thrown), busy: false }));
      },
    );
  };
  useEffect(() => {
    load(null);
    return () => asked.current?.abort();
  }, [key, turn]);
  const { rows, next, problem: refused, busy } = state;
  return {
    rows,
    problem: refused,
    busy,
    more: next === null ? null : () => load(next),
    again: () => again((count) => count + 1),
  };
}
