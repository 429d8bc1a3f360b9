// The frame around the pages: who is signed in decides which are there.
import type { ComponentType, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { asProblem, del, loadSession, type Problem } from './api';
import { useCell } from './cell';
import icon from './icon.svg';
import { follow, link, live, site } from './live';
import { match } from './match';
import { pages, type PageEntry, type PageProps } from './pages';
import { go, Link, usePlace } from './router';
import { guardName, may, session } from './session';
import { lang, t, word } from './texts';
import { dark, theme } from './theme';
import { Gate } from './setup/gate';
import { Claim } from './sign/claim';
import { SignIn } from './sign/sign-in';
import { Button } from './ui/button';
import { Icon } from './ui/icon';
import { Refusal, tellProblem, Toasts } from './ui/toast';

const ASK_AGAIN_MS = 3000;

export function App(): JSX.Element {
  const who = useCell(session);
  const words = useCell(lang);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    document.documentElement.lang = words === 'zh' ? 'zh-CN' : 'en';
  }, [words]);
  useEffect(() => {
    let timer = 0;
    const ask = (): void => {
      loadSession().then(
        () => setProblem(null),
        (thrown: unknown) => {
          setProblem(asProblem(thrown));
          timer = window.setTimeout(ask, ASK_AGAIN_MS);
        },
      );
    };
    ask();
    return () => clearTimeout(timer);
  }, []);
  return (
    <>
      {who === null ? (
        <main class="alone">
          <Refusal problem={problem} />
          {!problem && <p class="empty">{t('loading')}</p>}
        </main>
      ) : !who.claimed ? (
        <Claim />
      ) : !who.signed_in ? (
        <SignIn />
      ) : (
        <Gate key={who.name}>
          <Frame />
        </Gate>
      )}
      <Toasts />
    </>
  );
}

/** The pages that whoever is signed in may see. */
function seen(): PageEntry[] {
  const kiosk = session.get()?.kiosk;
  return pages.filter((page) => may(page.right) && (!kiosk || page.path === '/desk'));
}

function Frame(): JSX.Element {
  const name = useCell(session, (who) => who?.name);
  const { path } = usePlace();
  const allowed = seen();
  useEffect(() => follow(), [name]);
  useEffect(() => {
    const first = allowed[0];
    if (path === '/' && first) go(first.path, true);
  }, [path]);
  let found: { page: PageEntry; gaps: Record<string, string> } | null = null;
  for (const page of allowed) {
    const gaps = match(page.path, path);
    if (gaps) {
      found = { page, gaps };
      break;
    }
  }
  return (
    <div class={found?.page.full ? 'frame full' : 'frame'}>
      <a class="skip" href="#content">
        {t('skip')}
      </a>
      <Top pages={allowed} path={path} />
      <main id="content" tabIndex={-1}>
        {found ? <Loaded key={found.page.path} entry={found.page} gaps={found.gaps} /> : path !== '/' && <p class="empty">{t('not_found')}</p>}
      </main>
    </div>
  );
}

function Loaded({ entry, gaps }: { entry: PageEntry; gaps: Record<string, string> }): JSX.Element {
  const [Page, setPage] = useState<ComponentType<PageProps> | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    entry.load().then(
      (module) => setPage(() => module.default),
      () => setFailed(true),
    );
  }, []);
  useEffect(() => {
    if (!failed) return undefined;
    // A browser may remember that a file did not come: the page begins anew, once the gateway answers. Nobody needs to
    // be there for it.
    const again = setInterval(() => loadSession().then(() => location.reload(), () => undefined), ASK_AGAIN_MS);
    return () => clearInterval(again);
  }, [failed]);
  const words = useCell(lang);
  useEffect(() => {
    document.title = `${t(entry.name)} · ${t('product')}`;
  }, [words]);
  if (Page) return <Page gaps={gaps} />;
  if (!failed) return <p class="empty">{t('loading')}</p>;
  return (
    <div class="empty" role="alert">
      <p>{t('page_failed')}</p>
      <Button onClick={() => location.reload()}>{t('try_again')}</Button>
    </div>
  );
}

function Top({ pages: allowed, path }: { pages: PageEntry[]; path: string }): JSX.Element {
  const who = useCell(session);
  const school = useCell(site, (found) => found?.name) ?? who?.site;
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [path]);
  const night = useCell(dark);
  const words = useCell(lang);
  const signOut = async (): Promise<void> => {
    try {
      await del('/api/v1/session');
    } catch (thrown) {
      tellProblem(thrown);
    }
    guardName.set('');
    await loadSession();
  };
  const shown = allowed.filter((page) => !page.hidden);
  const under = (page: PageEntry): boolean => path === page.path || path.startsWith(`${page.path}/`);
  return (
    <header class={open ? 'top open' : 'top'}>
      <div class="brand">
        <img src={icon} alt="" width={28} height={28} />
        <strong>{school ?? t('product')}</strong>
      </div>
      <Contact />
      <button type="button" class="button menu" aria-expanded={open} aria-controls="pages" onClick={() => setOpen(!open)}>
        <Icon name="menu" />
        <span>{t('menu')}</span>
      </button>
      <nav id="pages" aria-label={t('pages')}>
        {shown.length > 1 &&
          shown.map((page) => (
            <Link key={page.path} to={page.path} current={under(page)}>
              <Icon name={page.icon} />
              <span>{t(page.name)}</span>
            </Link>
          ))}
      </nav>
      <div class="self">
        {who?.kiosk ? (
          <span class="who">
            <Icon name="user" size={16} />
            {who.name} <small>{word('role', who.role ?? '')}</small>
          </span>
        ) : (
          <Link to="/me" class="who" current={path === '/me'}>
            <Icon name="user" size={16} />
            {who?.name} <small>{word('role', who?.role ?? '')}</small>
          </Link>
        )}
        <Button kind="bare" onClick={() => lang.set(words === 'zh' ? 'en' : 'zh')}>
          <span lang={words === 'zh' ? 'en' : 'zh-CN'}>{t('language')}</span>
        </Button>
        <Button kind="bare" icon={night ? 'sun' : 'moon'} onClick={() => theme.set(night ? 'light' : 'dark')}>
          {t(night ? 'theme_light' : 'theme_dark')}
        </Button>
        <Button kind="bare" icon="exit" onClick={signOut}>
          {t('sign_out')}
        </Button>
      </div>
    </header>
  );
}

function Contact(): JSX.Element {
  const { here } = useCell(link);
  const ready = useCell(live, (now) => now.ready);
  const good = here && ready;
  return (
    <span class={good ? 'contact good' : here ? 'contact' : 'contact bad'} role="status">
      <Icon name={here ? 'check' : 'offline'} size={16} />
      <span>{t(here ? (ready ? 'link_here' : 'loading') : 'link_lost')}</span>
    </span>
  );
}
