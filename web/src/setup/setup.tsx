// The first run: school, devices, rules, platform; checked and put to use. A gateway without a configuration shows only this.
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { asProblem, get, post, useGet, type Problem } from '../api';
import { useCell } from '../cell';
import icon from '../icon.svg';
import { listed } from '../pages/numbers';
import { Await, Facts, Sign } from '../pages/parts';
import { lang, said, t, word } from '../texts';
import { Button } from '../ui/button';
import { Checkbox, Form, Input, Select } from '../ui/form';
import { Refusal } from '../ui/toast';
import { DevicesStep, FindDevices } from './devices';
import {
  besides, chosen, DESTINATION_KEYS, EMPTY, LIMITS, merged, payload, places, stepOf, STEPS, wrongIn,
  type Destination, type Draft, type Fitting, type RuleDraft, type Step, type Wrong,
} from './draft';
import { Told, type StepProps } from './told';

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
  const rest: StepProps['rest'] = (table, shown = []) => (seen.has(stepOf(table)) ? besides(table, shown, problems) : []);
  const props: StepProps = { draft, change, wrong, rest };
  return (
    <main class="setup-page">
      <div class="setup">
        <div class="brand">
          <img src={icon} alt="" width={40} height={40} />
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
          {step === 'devices' && <FindDevices draft={draft} change={change} />}
          {step === 'finish' ? (
            <Finish draft={draft} problems={problems} check={check} show={show} back={() => show('destination')} done={done} />
          ) : (
            <Form onSubmit={next} submit={t('setup.next')} more={at > 0 && <Button onClick={() => show(STEPS[at - 1] ?? 'site')}>{t('setup.back')}</Button>}>
              {step === 'site' && <SiteStep {...props} />}
              {step === 'devices' && <DevicesStep {...props} />}
              {step === 'rules' && <RulesStep {...props} />}
              {step === 'destination' && <DestinationStep {...props} />}
            </Form>
          )}
        </div>
      </div>
    </main>
  );
}

function SiteStep({ draft, change, wrong, rest }: StepProps): JSX.Element {
  const { site } = draft;
  const set = (part: Partial<Draft['site']>): void => change({ site: { ...site, ...part } });
  return (
    <>
      <p>{t('setup.site_about')}</p>
      <Input label={t('setup.name')} value={site.name} onInput={(name) => set({ name })} error={wrong('site.name') ?? wrong('places[0].name')} maxLength={100} required focus />
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
        error={places(draft).map((_, n) => (n > 0 ? wrong(`places[${n}].name`) : null)).find((said) => said) ?? null}
        lines={4}
      />
      <Told problems={[...rest('site', ['name', 'gateway', 'school_code']), ...places(draft).flatMap((_, n) => rest(`places[${n}]`, ['name']))]} />
    </>
  );
}

function RulesStep({ draft, change, wrong, rest }: StepProps): JSX.Element {
  const [known, setKnown] = useState(false);
  const ask = async (): Promise<void> => {
    const devices = draft.devices.map(({ id, profile }) => ({ id: id.trim(), profile: profile.trim() }));
    const { rows } = await post<{ rows: Fitting[] }>('/api/v1/setup/rules', { devices });
    change({ rules: merged(rows, draft.rules) });
    setKnown(true);
  };
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    ask().catch((thrown: unknown) => setProblem(asProblem(thrown)));
  }, []);
  const set = (id: string, part: Partial<RuleDraft>): void => change({ rules: draft.rules.map((rule) => (rule.id === id ? { ...rule, ...part } : rule)) });
  return (
    <>
      <p>{t('setup.rules_about')}</p>
      <Refusal problem={problem} />
      {known && draft.rules.length === 0 && <p class="empty">{t('setup.no_rules')}</p>}
      {draft.rules.map((rule) => {
        const at = `rules[${chosen(draft).indexOf(rule)}]`;
        const [title = rule.id, ...more] = said(rule.about).split('\n');
        const unit = typeof rule.rule.unit === 'string' ? ` (${rule.rule.unit})` : '';
        return (
          <div class={rule.on ? 'card picked' : 'card'} key={rule.id}>
            <Checkbox label={title} hint={more.join(' ') || undefined} value={rule.on} onInput={(on) => set(rule.id, { on })} />
            {rule.on &&
              LIMITS.filter((limit) => rule.limits[limit] !== undefined).map((limit) => (
                <Input
                  key={limit}
                  label={word('limit', limit) + unit}
                  value={rule.limits[limit] ?? ''}
                  onInput={(text) => set(rule.id, { limits: { ...rule.limits, [limit]: text } })}
                  error={wrong(`${at}.${limit}`)}
                  autocomplete="off"
                  required
                />
              ))}
            {rule.on && <Told problems={rest(at, LIMITS)} />}
          </div>
        );
      })}
    </>
  );
}

const NEW: Destination = { kind: 'shield', base_url: 'https://', app_id: '', secret: '' };

function DestinationStep({ draft, change, wrong, rest }: StepProps): JSX.Element {
  const { destination } = draft;
  const kinds = useGet<{ rows: { kind: string; doc: string }[] }>('/api/v1/setup/destinations');
  const set = (part: Partial<Destination>): void => change({ destination: { ...(destination ?? NEW), ...part } });
  return (
    <>
      <p>{t('setup.destination_about')}</p>
      <Checkbox label={t('setup.upload')} hint={t('setup.upload_hint')} value={destination !== null} onInput={(on) => change({ destination: on ? NEW : null })} />
      {destination && (
        <>
          <Await asked={kinds}>
            {({ rows }) => (
              <Select
                label={t('setup.kind')}
                hint={rows.find(({ kind }) => kind === destination.kind)?.doc}
                value={destination.kind}
                onInput={(kind) => set({ kind })}
                error={wrong('destination.kind')}
                options={rows.map(({ kind }) => ({ value: kind, text: word('destination_kind', kind) }))}
              />
            )}
          </Await>
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
          <Told problems={rest('destination', DESTINATION_KEYS)} />
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
    try {
      await post('/api/v1/setup/apply', payload(draft));
    } catch (thrown) {
      // Something became wrong since it was checked: what, the gateway says once more.
      if (asProblem(thrown).status === 422 && (await check()).length > 0) return;
      throw thrown;
    }
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
          [word('setup_step', 'devices'), listed(draft.devices.map(({ id, name }) => name || id)) || t('setup.none')],
          [word('setup_step', 'rules'), listed(chosen(draft).map(({ about }) => said(about).split('\n')[0] ?? '')) || t('setup.none')],
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

/** Whether the gateway runs by its configuration now; while it starts it does not answer. */
async function runs(): Promise<boolean> {
  try {
    return !(await get<{ needed: boolean }>('/api/v1/setup')).needed;
  } catch {
    return false;
  }
}
