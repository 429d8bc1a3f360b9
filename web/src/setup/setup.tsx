// The first run: school, devices, rules, platform; checked and put to use. A gateway without a configuration shows only this.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { asProblem, get, post, Problem } from '../api';
import { useCell } from '../cell';
import { asked, SearchFields, USUAL, type Findings, type Found } from '../pages/discovery';
import { JobProgress, useJob } from '../pages/job';
import { listed } from '../pages/numbers';
import { Facts, Sign } from '../pages/parts';
import { lang, said, t, word } from '../texts';
import { Button } from '../ui/button';
import { Checkbox, Form, Input, Select } from '../ui/form';
import { Refusal } from '../ui/toast';
import { EMPTY, FIRST_RULES, payload, picked, places, stepOf, STEPS, wrongIn, type Destination, type Draft, type Picked, type Step, type Wrong } from './draft';

interface StepProps {
  draft: Draft;
  change: (part: Partial<Draft>) => void;
  /** What is wrong with a field, in words. */
  wrong: (field: string) => string | null;
}

export default function Setup({ done }: { done: () => void }): JSX.Element {
  const [draft, setDraft] = useState(EMPTY);
  const [step, setStep] = useState<Step>('site');
  const [problems, setProblems] = useState<readonly Wrong[]>([]);
  // A field is told wrong once its step was left; nobody wants to be told of what they have not come to.
  const [seen, setSeen] = useState<ReadonlySet<Step>>(new Set());
  const words = useCell(lang);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${t('setup.title')} · ${t('product')}`;
  }, [words]);
  const change = (part: Partial<Draft>): void => setDraft((old) => ({ ...old, ...part }));
  const wrong = (field: string): string | null => {
    const found = problems.find((problem) => problem.field === field);
    return found && seen.has(stepOf(field)) ? said(found) : null;
  };
  const show = (to: Step): void => {
    setStep(to);
    // After it is drawn: the keyboard and a screen reader begin at the new step.
    setTimeout(() => heading.current?.focus(), 0);
  };
  const check = async (): Promise<readonly Wrong[]> => {
    const found = (await post<{ problems?: Wrong[] }>('/api/v1/setup/check', payload(draft))).problems ?? [];
    setProblems(found);
    return found;
  };
  const at = STEPS.indexOf(step);
  const next = async (): Promise<void> => {
    const found = await check();
    setSeen((old) => new Set(old).add(step));
    const following = STEPS[at + 1];
    if (following && wrongIn(step, found).length === 0) show(following);
  };
  const props: StepProps = { draft, change, wrong };
  const own = wrongIn(step, problems).filter(({ field }) => !FIELDS.test(field));
  return (
    <main class="setup-page">
      <div class="setup">
        <div class="brand">
          <img src="/assets/icon.svg" alt="" width={40} height={40} />
          <strong>{t('product')}</strong>
          <Button kind="bare" onClick={() => lang.set(words === 'zh' ? 'en' : 'zh')}>
            <span lang={words === 'zh' ? 'en' : 'zh-CN'}>{t('language')}</span>
          </Button>
        </div>
        <h1>{t('setup.title')}</h1>
        <ol class="steps">
          {STEPS.map((one, n) => (
            <li key={one} aria-current={one === step ? 'step' : undefined} class={n < at ? 'done' : undefined}>
              {n + 1} {word('setup_step', one)}
              {n < at && ' ✓'}
            </li>
          ))}
        </ol>
        <div class="card">
          <h2 ref={heading} tabIndex={-1}>
            {word('setup_step', step)}
          </h2>
          {step === 'finish' ? (
            <Finish draft={draft} problems={problems} check={check} show={show} back={() => show('destination')} done={done} />
          ) : (
            <Form onSubmit={next} submit={t('setup.next')} more={at > 0 && <Button onClick={() => show(STEPS[at - 1] ?? 'site')}>{t('setup.back')}</Button>}>
              {step === 'site' && <SiteStep {...props} />}
              {step === 'devices' && <DevicesStep {...props} />}
              {step === 'rules' && <RulesStep {...props} />}
              {step === 'destination' && <DestinationStep {...props} />}
              {seen.has(step) && <Told problems={own} />}
            </Form>
          )}
        </div>
      </div>
    </main>
  );
}

/** Fields that show what is wrong with them; everything else is told below. */
const FIELDS = /^(site\.(name|gateway|school_code)|buildings|devices\.\d+\.(name|profile|place|id)|destination\.(kind|base_url|app_id|secret))$/;

function Told({ problems, children }: { problems: readonly Wrong[]; children?: ComponentChildren }): JSX.Element | null {
  if (problems.length === 0) return null;
  return (
    <div class="refusal" role="alert">
      <div>
        <ul>
          {problems.map((problem) => (
            <li key={problem.field + problem.en}>
              {said(problem)} <small>{problem.field}</small>
            </li>
          ))}
        </ul>
        {children}
      </div>
    </div>
  );
}

function SiteStep({ draft, change, wrong }: StepProps): JSX.Element {
  const { site } = draft;
  const set = (part: Partial<Draft['site']>): void => change({ site: { ...site, ...part } });
  return (
    <>
      <p>{t('setup.site_about')}</p>
      <Input label={t('setup.name')} value={site.name} onInput={(name) => set({ name })} error={wrong('site.name')} maxLength={100} required focus />
      <Input
        label={t('setup.gateway')}
        hint={t('setup.gateway_hint')}
        value={site.gateway}
        onInput={(gateway) => set({ gateway })}
        error={wrong('site.gateway')}
        maxLength={64}
        autocomplete="off"
        required
      />
      <Input
        label={t('setup.school_code')}
        hint={t('setup.school_code_hint')}
        value={site.school_code}
        onInput={(school_code) => set({ school_code })}
        error={wrong('site.school_code')}
        maxLength={10}
        autocomplete="off"
      />
      <Input
        label={t('setup.buildings')}
        hint={t('setup.buildings_hint')}
        value={draft.buildings}
        onInput={(buildings) => change({ buildings })}
        error={wrong('buildings') ?? wrong('site.places')}
        lines={4}
      />
    </>
  );
}

function same(one: Picked, found: Found): boolean {
  return one.bus === found.bus && one.address === found.address;
}

function DevicesStep({ draft, change, wrong }: StepProps): JSX.Element {
  const work = useJob<Findings>('discovery', undefined, '/api/v1/setup/discover');
  const [search, setSearch] = useState(USUAL);
  const [problem, setProblem] = useState<Problem | null>(null);
  const found = work.job?.result?.devices ?? [];
  const all = places(draft);
  const begin = async (): Promise<void> => {
    setProblem(null);
    try {
      await work.begin(asked(search));
    } catch (thrown) {
      setProblem(asProblem(thrown));
    }
  };
  const toggle = (one: Found): void => {
    const known = draft.devices.some((device) => same(device, one));
    if (known) return change({ devices: draft.devices.filter((device) => !same(device, one)) });
    // A number that no other has, also after some were taken away.
    const n = 1 + Math.max(0, ...draft.devices.map(({ id }) => Number(/\d+$/.exec(id)?.[0] ?? 0)));
    return change({ devices: [...draft.devices, picked(one, n, t('setup.device_name', { n }))] });
  };
  const set = (at: number, part: Partial<Picked>): void => change({ devices: draft.devices.map((device, n) => (n === at ? { ...device, ...part } : device)) });
  return (
    <>
      <p>{t('setup.devices_about')}</p>
      <SearchFields search={search} change={setSearch} />
      <Refusal problem={problem} />
      <Button onClick={begin} disabled={work.job?.state === 'running'}>
        {t('discovery.begin')}
      </Button>
      <JobProgress work={work} />
      {work.job?.result && <p role="status">{t('discovery.found', { n: found.length })}</p>}
      {found.map((one) => {
        const at = draft.devices.findIndex((device) => same(device, one));
        const device = draft.devices[at];
        const likely = one.likely ?? [];
        return (
          <div class={device ? 'card picked' : 'card'} key={`${one.bus} ${one.address}`}>
            <Checkbox
              label={`${one.bus} / ${one.address} ${(one.identity ?? []).join(' ')}`}
              hint={likely[0] ? t('setup.looks_like', { percent: likely[0].percent, profile: likely[0].profile }) : t('discovery.unknown')}
              value={!!device}
              onInput={() => toggle(one)}
            />
            {device && (
              <>
                <Input label={t('devices.name')} value={device.name} onInput={(name) => set(at, { name })} error={wrong(`devices.${at}.name`)} required />
                {likely.length > 0 ? (
                  <Select
                    label={t('devices.profile')}
                    value={device.profile}
                    onInput={(profile) => set(at, { profile })}
                    error={wrong(`devices.${at}.profile`)}
                    options={likely.map(({ profile, percent }) => ({ value: profile, text: `${profile} (${percent}%)` }))}
                  />
                ) : (
                  <Input label={t('devices.profile')} value={device.profile} onInput={(profile) => set(at, { profile })} error={wrong(`devices.${at}.profile`)} required />
                )}
                <Select
                  label={t('devices.place')}
                  value={device.place}
                  onInput={(place) => set(at, { place })}
                  error={wrong(`devices.${at}.place`)}
                  options={all.map(({ id, name }) => ({ value: id, text: name || t('energy.school') }))}
                />
              </>
            )}
          </div>
        );
      })}
    </>
  );
}

function RulesStep({ draft, change }: StepProps): JSX.Element {
  const toggle = (rule: (typeof FIRST_RULES)[number], on: boolean): void =>
    change({ rules: FIRST_RULES.filter((one) => (one === rule ? on : draft.rules.includes(one))) });
  return (
    <>
      <p>{t('setup.rules_about')}</p>
      {FIRST_RULES.map((rule) => (
        <Checkbox key={rule} label={word('first_rule', rule)} hint={word('first_rule_hint', rule)} value={draft.rules.includes(rule)} onInput={(on) => toggle(rule, on)} />
      ))}
    </>
  );
}

const NEW: Destination = { kind: 'shield', base_url: 'https://', app_id: '', secret: '' };

function DestinationStep({ draft, change, wrong }: StepProps): JSX.Element {
  const { destination } = draft;
  const set = (part: Partial<Destination>): void => change({ destination: { ...(destination ?? NEW), ...part } });
  return (
    <>
      <p>{t('setup.destination_about')}</p>
      <Checkbox label={t('setup.upload')} hint={t('setup.upload_hint')} value={destination !== null} onInput={(on) => change({ destination: on ? NEW : null })} />
      {destination && (
        <>
          <Select
            label={t('setup.kind')}
            value={destination.kind}
            onInput={(kind) => set({ kind: kind as Destination['kind'] })}
            error={wrong('destination.kind')}
            options={(['shield', 'eduyun'] as const).map((value) => ({ value, text: word('destination_kind', value) }))}
          />
          <Input label={t('setup.base_url')} type="url" value={destination.base_url} onInput={(base_url) => set({ base_url })} error={wrong('destination.base_url')} required />
          <Input label={t('setup.app_id')} value={destination.app_id} onInput={(app_id) => set({ app_id })} error={wrong('destination.app_id')} autocomplete="off" required />
          <Input
            label={t('setup.secret')}
            hint={t('setup.secret_hint')}
            type="password"
            value={destination.secret}
            onInput={(secret) => set({ secret })}
            error={wrong('destination.secret')}
            autocomplete="off"
            required
          />
        </>
      )}
    </>
  );
}

interface FinishProps {
  draft: Draft;
  problems: readonly Wrong[];
  check: () => Promise<readonly Wrong[]>;
  show: (step: Step) => void;
  back: () => void;
  done: () => void;
}

const ASK_MS = 1000;
/** A gateway starts within seconds; after this long somebody should look. */
const MOST_MS = 60_000;

function Finish({ draft, problems, check, show, back, done }: FinishProps): JSX.Element {
  const [starting, setStarting] = useState(false);
  const [slow, setSlow] = useState(false);
  const leave = useRef(false);
  useEffect(
    () => () => {
      leave.current = true;
    },
    [],
  );
  const apply = async (): Promise<void> => {
    if ((await check()).length > 0) return;
    await post('/api/v1/setup/apply', payload(draft));
    setStarting(true);
    const begun = Date.now();
    while (!leave.current) {
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
      if (await runs()) return done();
      if (Date.now() - begun > MOST_MS) setSlow(true);
    }
  };
  if (starting) return <p role="status">{t(slow ? 'setup.slow' : 'setup.starting')}</p>;
  return (
    <Form onSubmit={apply} submit={t('setup.apply')} disabled={problems.length > 0} more={<Button onClick={back}>{t('setup.back')}</Button>}>
      <Facts
        rows={[
          [t('setup.name'), draft.site.name],
          [t('setup.gateway'), draft.site.gateway],
          [t('setup.buildings'), listed(places(draft).slice(1).map(({ name }) => name)) || '—'],
          [word('setup_step', 'devices'), listed(draft.devices.map(({ name }) => name)) || t('setup.none')],
          [word('setup_step', 'rules'), listed(draft.rules.map((rule) => word('first_rule', rule))) || t('setup.none')],
          [word('setup_step', 'destination'), draft.destination?.base_url ?? t('setup.none')],
        ]}
      />
      {problems.length > 0 ? (
        <Told problems={problems}>
          <div class="row">
            {[...new Set(problems.map(({ field }) => stepOf(field)))].filter((step) => step !== 'finish').map((step) => (
              <Button key={step} onClick={() => show(step)}>
                {t('setup.mend', { step: word('setup_step', step) })}
              </Button>
            ))}
          </div>
        </Told>
      ) : (
        <p>
          <Sign kind="good">{t('setup.good')}</Sign> {t('setup.later')}
        </p>
      )}
    </Form>
  );
}

/** Whether the gateway runs by its configuration now; while it starts it may not answer at all. */
async function runs(): Promise<boolean> {
  try {
    return !(await get<{ needed: boolean }>('/api/v1/setup')).needed;
  } catch (thrown) {
    // A gateway that runs may have no such route any more.
    return asProblem(thrown).status === 404;
  }
}
