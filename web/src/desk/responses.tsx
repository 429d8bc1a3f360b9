// Lockdown, evacuation and the like: two deliberate steps to begin, each output with its result, a second person to end.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { post } from '../api';
import { useCell } from '../cell';
import { live, site, takeResponse } from '../live';
import type { Output, Response } from '../model';
import { acting, may, session } from '../session';
import { lang, said, t, word } from '../texts';
import { Button, HoldButton } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Checkbox, Form, Input } from '../ui/form';
import { Icon, type IconName } from '../ui/icon';
import { tell } from '../ui/toast';
import { time, useNow } from '../ui/time';

const ICONS: Record<Response['kind'], IconName> = {
  hold: 'clock',
  secure: 'security',
  lockdown: 'lock',
  evacuate: 'exit',
  shelter: 'intrusion',
};

export function nameOf(response: Response): string {
  return lang.get() === 'zh' ? response.name_zh : response.name;
}

function placeOf(response: Response): string {
  const place = site.get()?.places.find(({ id }) => id === response.place);
  return place ? said(place.path) : t('response.whole_school');
}

function resultOf(output: Output): string {
  return lang.get() === 'zh' ? output.detail_zh : output.detail;
}

/** The ones that are on, with their results, and a button for each of the others. */
export function Responses(): JSX.Element | null {
  const responses = useCell(live, (now) => now.responses);
  const [begin, setBegin] = useState<string | null>(null);
  const [clear, setClear] = useState<string | null>(null);
  if (!responses.length) return null;
  const on = responses.filter((one) => one.stage !== 'off');
  const off = responses.filter((one) => one.stage === 'off');
  const beginning = responses.find((one) => one.id === begin);
  const clearing = responses.find((one) => one.id === clear);
  return (
    <section class="responses" aria-label={t('response.title')}>
      {on.map((response) => (
        <Running key={response.id} response={response} onClear={() => setClear(response.id)} onAgain={() => setBegin(response.id)} />
      ))}
      {may('respond') && off.length > 0 && (
        <details open={on.length === 0 ? undefined : false}>
          <summary>
            <Icon name="lock" /> {t('response.title')}
          </summary>
          <div class="row">
            {off.map((response) => (
              <Button key={response.id} big icon={ICONS[response.kind]} onClick={() => setBegin(response.id)}>
                {nameOf(response)}
                {response.silent && ` · ${t('response.silent')}`}
                {response.place && ` · ${placeOf(response)}`}
              </Button>
            ))}
          </div>
        </details>
      )}
      {beginning && <Begin response={beginning} onClose={() => setBegin(null)} />}
      {clearing && <Clear response={clearing} onClose={() => setClear(null)} />}
    </section>
  );
}

interface RunningProps {
  response: Response;
  onClear: () => void;
  onAgain: () => void;
}

function Running({ response, onClear, onAgain }: RunningProps): JSX.Element {
  const failing = response.outputs.some((output) => output.failing);
  return (
    <div class={response.drill ? 'running drill' : 'running'} data-response={response.id}>
      <h2>
        <Icon name={ICONS[response.kind]} size={28} /> {response.drill && t('alarm.drill_mark')}
        {nameOf(response)} · {lang.get() === 'zh' ? response.stage_zh : response.stage_en}
      </h2>
      <p>
        {placeOf(response)}
        {response.by && response.at !== null && ` · ${t('response.begun', { name: response.by, time: time(response.at) })}`}
      </p>
      <Outputs response={response} />
      {may('respond') && (
        <div class="row">
          {failing && response.stage === 'on' && (
            <Button icon="critical" onClick={onAgain}>
              {t('response.again')}
            </Button>
          )}
          {response.stage !== 'returning' && (
            <Button big kind="good" icon="check" onClick={onClear}>
              {t('response.clear')}
            </Button>
          )}
        </div>
      )}
    </div>
  );
}

function Outputs({ response }: { response: Response }): JSX.Element {
  return (
    <ul class="outputs">
      {response.outputs.map((output) => (
        <li key={`${output.kind} ${output.id}`} class={output.failing ? 'failing' : output.known ? 'known' : undefined}>
          <Icon name={output.failing ? 'cross' : output.known ? 'check' : 'clock'} />
          <span>{typeof output.name === 'string' ? output.name : said(output.name)}</span>
          <strong>{resultOf(output)}</strong>
        </li>
      ))}
    </ul>
  );
}

function Begin({ response, onClose }: { response: Response; onClose: () => void }): JSX.Element {
  const drilling = useCell(live, (now) => now.drill !== null);
  const [drill, setDrill] = useState(false);
  const [code, setCode] = useState<{ code: string; until: number } | null>(null);
  const now = useNow(500);
  const path = `/api/v1/responses/${encodeURIComponent(response.id)}`;
  const prepare = async (): Promise<string> => {
    const prepared = await post<Response>(`${path}/prepare`, { ...acting(), ...(drill ? { drill } : {}) });
    setCode({ code: prepared.code ?? '', until: Date.now() + (prepared.code_secs ?? 30) * 1000 });
    return prepared.code ?? '';
  };
  const start = async (with_code: string): Promise<void> => {
    takeResponse(await post<Response>(`${path}/start`, { ...acting(), code: with_code }));
    tell(t('response.started', { name: nameOf(response) }));
    onClose();
  };
  const left = code ? Math.ceil((code.until - now) / 1000) : 0;
  useEffect(() => {
    if (code && left <= 0) setCode(null);
  }, [code, left]);
  return (
    <Dialog title={t('response.begin', { name: nameOf(response) })} onClose={onClose}>
      <p>
        {word('response.kind', response.kind)} · {placeOf(response)}
      </p>
      <ul class="outputs">
        {response.outputs.map((output) => (
          <li key={`${output.kind} ${output.id}`}>
            <Icon name={output.kind === 'control' ? 'lock' : 'sound'} />
            <span>{typeof output.name === 'string' ? output.name : said(output.name)}</span>
          </li>
        ))}
      </ul>
      {drilling && <Checkbox label={t('response.as_drill')} value={drill} onInput={setDrill} disabled={code !== null} />}
      <div class="row">
        <HoldButton icon={ICONS[response.kind]} onClick={async () => start(await prepare())}>
          {t(drill ? 'response.hold_drill' : 'response.hold')}
        </HoldButton>
      </div>
      <h3>{t('response.or_two_steps')}</h3>
      <div class="row">
        <Button disabled={code !== null} onClick={prepare}>
          {t('response.step_1')}
        </Button>
        <Button kind="danger" disabled={code === null} onClick={() => (code ? start(code.code) : undefined)}>
          {code ? t('response.step_2_left', { secs: left }) : t('response.step_2')}
        </Button>
      </div>
    </Dialog>
  );
}

function Clear({ response, onClose }: { response: Response; onClose: () => void }): JSX.Element {
  const kiosk = session.get()?.kiosk ?? false;
  const [name, setName] = useState('');
  const [alone, setAlone] = useState(false);
  const [note, setNote] = useState('');
  const clear = async (): Promise<void> => {
    const who = kiosk ? { actor: name.trim() } : acting();
    const body = { ...who, ...(alone ? { alone } : {}), ...(note.trim() ? { note: note.trim() } : {}) };
    takeResponse(await post<Response>(`/api/v1/responses/${encodeURIComponent(response.id)}/clear`, body));
    tell(t('response.cleared', { name: nameOf(response) }));
    onClose();
  };
  return (
    <Dialog title={t('response.clear_title', { name: nameOf(response) })} onClose={onClose}>
      <p>{t('response.second', { name: response.by ?? '' })}</p>
      <Form onSubmit={clear} submit={t('response.clear')} kind="danger" disabled={(kiosk && !name.trim()) || (alone && !note.trim())}>
        {kiosk && <Input label={t('response.who_clears')} value={name} onInput={setName} maxLength={40} autocomplete="off" required focus />}
        <Checkbox label={t('response.alone')} value={alone} onInput={setAlone} />
        <Input label={t(alone ? 'reason' : 'note')} value={note} onInput={setNote} maxLength={200} required={alone} />
      </Form>
    </Dialog>
  );
}
