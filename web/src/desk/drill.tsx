// The banner of a drill, and its beginning and end.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { post } from '../api';
import { useCell } from '../cell';
import { live, site } from '../live';
import { acting, may } from '../session';
import { said, t, word } from '../texts';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Form, Input, Select } from '../ui/form';
import { Icon } from '../ui/icon';
import { tell } from '../ui/toast';
import { span, time, useNow } from '../ui/time';

export function DrillBanner(): JSX.Element | null {
  const drill = useCell(live, (now) => now.drill);
  const now = useNow();
  const [asking, setAsking] = useState(false);
  if (!drill || drill.ended) return null;
  const stop = async (): Promise<void> => {
    await post('/api/v1/drill/stop', acting());
    tell(t('drill.stopped'));
  };
  return (
    <div class="drill-banner" role="status">
      <Icon name="drill" size={28} />
      <div>
        <strong>{t('drill.on')}</strong> {drill.begun.note} · {drill.begun.by} ·{' '}
        {t('drill.until', { time: time(drill.until), span: span(drill.until - now) })}
        <div>{t('drill.real')}</div>
      </div>
      {may('drill') && (
        <div class="row">
          <Button onClick={() => setAsking(true)}>{t('drill.raise')}</Button>
          <Button onClick={stop}>{t('drill.stop')}</Button>
        </div>
      )}
      {asking && <Raise onClose={() => setAsking(false)} />}
    </div>
  );
}

const CLASSES = ['fire', 'help', 'intrusion', 'security'] as const;

function Raise({ onClose }: { onClose: () => void }): JSX.Element {
  const places = useCell(site, (found) => found?.places) ?? [];
  const [kind, setKind] = useState<string>('fire');
  const [place, setPlace] = useState(places[0]?.id ?? '');
  const [what, setWhat] = useState('');
  const raise = async (): Promise<void> => {
    await post('/api/v1/drill/alarm', { ...acting(), class: kind, place, ...(what.trim() ? { what: what.trim() } : {}) });
    onClose();
  };
  return (
    <Dialog title={t('drill.raise')} onClose={onClose}>
      <Form onSubmit={raise} submit={t('drill.raise')} disabled={!place}>
        <Select label={t('drill.class')} value={kind} onInput={setKind} options={CLASSES.map((value) => ({ value, text: word('class', value) }))} />
        <Select label={t('drill.place')} value={place} onInput={setPlace} options={places.map(({ id, path }) => ({ value: id, text: said(path) }))} />
        <Input label={t('drill.what')} value={what} onInput={setWhat} maxLength={100} />
      </Form>
    </Dialog>
  );
}

const SPANS = [900, 1800, 3600, 7200, 14_400];

/** A button that begins a drill; nothing while one is running. */
export function BeginDrill(): JSX.Element | null {
  const running = useCell(live, (now) => !!now.drill && !now.drill.ended);
  const [asking, setAsking] = useState(false);
  const [note, setNote] = useState('');
  const [secs, setSecs] = useState('3600');
  if (running || !may('drill')) return null;
  const begin = async (): Promise<void> => {
    await post('/api/v1/drill/start', { ...acting(), note: note.trim(), for_secs: Number(secs) });
    setAsking(false);
  };
  return (
    <>
      <Button icon="drill" onClick={() => setAsking(true)}>
        {t('drill.begin')}
      </Button>
      {asking && (
        <Dialog title={t('drill.begin')} onClose={() => setAsking(false)}>
          <p>{t('drill.real')}</p>
          <Form onSubmit={begin} submit={t('drill.begin')} disabled={!note.trim()}>
            <Input label={t('drill.why')} value={note} onInput={setNote} maxLength={100} required focus />
            <Select
              label={t('drill.span')}
              value={secs}
              onInput={setSecs}
              options={SPANS.map((one) => ({ value: String(one), text: span(one * 1000) }))}
            />
          </Form>
        </Dialog>
      )}
    </>
  );
}
