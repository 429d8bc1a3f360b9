// Long work: begun here, told of as it goes on, and stopped when asked.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { asProblem, del, get, post, type Problem } from '../api';
import { said, t, word, type Text } from '../texts';
import { Button } from '../ui/button';
import { moment, span, useNow } from '../ui/time';
import { Refusal } from '../ui/toast';
import { percent } from './numbers';
import { FileLink, Sign, type SignKind } from './parts';

export type JobKind = 'discovery' | 'replay' | 'export' | 'backup';

export interface Job<R = unknown> {
  id: string | number;
  kind: string;
  by: string;
  begun_at: number;
  ended_at: number | null;
  state: 'running' | 'done' | 'stopped' | 'failed';
  done: number;
  of: number | null;
  note?: Text | null;
  result: R | null;
  file?: string | null;
}

export interface Work<R> {
  job: Job<R> | null;
  problem: Problem | null;
  begin: (given: Record<string, unknown>) => Promise<void>;
  stop: () => Promise<void>;
}

const ASK_MS = 500;
const ASK_SLOWLY_MS = 3000;

/** The newest job of a kind, whoever began it. `ended` hears when one that was seen running is over. */
export function useJob<R>(kind: JobKind, ended?: () => void): Work<R> {
  const [job, setJob] = useState<Job<R> | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [id, follow] = useState<Job['id'] | null>(null);
  useEffect(() => {
    const leave = new AbortController();
    get<{ rows: Job<R>[] }>('/api/v1/jobs', {}, leave.signal).then(
      ({ rows }) => {
        const newest = rows.filter((one) => one.kind === kind).sort((a, b) => b.begun_at - a.begun_at)[0];
        if (newest && !leave.signal.aborted) follow((known) => known ?? newest.id);
      },
      // None is known then; beginning one tells what is wrong.
      () => undefined,
    );
    return () => leave.abort();
  }, [kind]);
  useEffect(() => {
    if (id === null) return undefined;
    const leave = new AbortController();
    let timer = 0;
    let ran = false;
    const ask = async (): Promise<void> => {
      let pause = ASK_MS;
      try {
        const now = await get<Job<R>>(`/api/v1/jobs/${encodeURIComponent(String(id))}`, {}, leave.signal);
        if (leave.signal.aborted) return;
        setJob(now);
        setProblem(null);
        if (now.state !== 'running') {
          if (ran) ended?.();
          return;
        }
        ran = true;
      } catch (thrown) {
        if (leave.signal.aborted) return;
        const refused = asProblem(thrown);
        setProblem(refused);
        // It is gone: so many others have ended since.
        if (refused.status === 404) return;
        pause = ASK_SLOWLY_MS;
      }
      timer = window.setTimeout(() => void ask(), pause);
    };
    void ask();
    return () => {
      leave.abort();
      clearTimeout(timer);
    };
  }, [id]);
  const begin = async (given: Record<string, unknown>): Promise<void> => {
    const begun = await post<{ id: Job['id'] }>('/api/v1/jobs', { kind, ...given });
    setJob(null);
    setProblem(null);
    follow(begun.id);
  };
  const stop = async (): Promise<void> => {
    if (id !== null) await del(`/api/v1/jobs/${encodeURIComponent(String(id))}`);
  };
  return { job, problem, begin, stop };
}

const SIGNS: Record<Job['state'], SignKind> = { running: 'none', done: 'good', stopped: 'warn', failed: 'bad' };

/** How far it is, and a button that stops it. */
export function JobProgress<R>({ work }: { work: Work<R> }): JSX.Element | null {
  const { job, problem, stop } = work;
  const now = useNow();
  if (!job) return <Refusal problem={problem} />;
  const running = job.state === 'running';
  const share = job.of && job.of > 0 ? Math.min(1, job.done / job.of) : null;
  return (
    <div class="job card">
      <div class="row">
        <Sign kind={SIGNS[job.state]}>{word('job_state', job.state)}</Sign>
        <span class="hint">
          {moment(job.begun_at)} · {job.by} · {span((job.ended_at ?? now) - job.begun_at)}
        </span>
        {running && <Button onClick={stop}>{t('job.stop')}</Button>}
        {job.file && <FileLink href={job.file}>{t('job.file')}</FileLink>}
      </div>
      {running && (
        <div class="row">
          <progress aria-label={t('job.progress')} value={share ?? undefined} max={1} />
          <span>{share === null ? '' : percent(share, 0)}</span>
        </div>
      )}
      {said(job.note) && <p role={running ? undefined : 'status'}>{said(job.note)}</p>}
      <Refusal problem={problem} />
    </div>
  );
}
