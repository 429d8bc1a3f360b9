// Whether the gateway has a configuration yet: without one its administrator comes to the first run.
import type { ComponentChildren, ComponentType, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { get, loadSession } from '../api';
import { may } from '../session';
import { t } from '../texts';

type Stage = 'asking' | 'needed' | 'done';

export function Gate({ children }: { children: ComponentChildren }): JSX.Element {
  const [stage, setStage] = useState<Stage>(may('accounts') ? 'asking' : 'done');
  const [Setup, setSetup] = useState<ComponentType<{ done: () => void }> | null>(null);
  useEffect(() => {
    if (stage !== 'asking') return undefined;
    const leave = new AbortController();
    const ask = async (): Promise<void> => {
      const { needed } = await get<{ needed: boolean }>('/api/v1/setup', {}, leave.signal);
      if (needed) {
        const { default: page } = await import('./setup');
        setSetup(() => page);
      }
      if (!leave.signal.aborted) setStage(needed ? 'needed' : 'done');
    };
    // A gateway that cannot say so runs by its configuration.
    ask().catch(() => !leave.signal.aborted && setStage('done'));
    return () => leave.abort();
  }, []);
  if (stage === 'done') return <>{children}</>;
  const done = (): void => {
    // The school has a name now. Where this fails the pages say so themselves.
    void loadSession()
      .catch(() => undefined)
      .then(() => setStage('done'));
  };
  if (stage === 'needed' && Setup) return <Setup done={done} />;
  return (
    <main class="alone">
      <p class="empty">{t('loading')}</p>
    </main>
  );
}
