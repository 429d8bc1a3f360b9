// A page with nothing around it: before anybody is signed in.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { useCell } from '../cell';
import icon from '../icon.svg';
import { lang, t } from '../texts';
import { Button } from '../ui/button';

export function Alone({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  const words = useCell(lang);
  useEffect(() => {
    document.title = `${title} · ${t('product')}`;
  }, [title]);
  return (
    <main class="alone">
      <div class="brand">
        <img src={icon} alt="" width={40} height={40} />
        <strong>{t('product')}</strong>
        <Button kind="bare" onClick={() => lang.set(words === 'zh' ? 'en' : 'zh')}>
          <span lang={words === 'zh' ? 'en' : 'zh-CN'}>{t('language')}</span>
        </Button>
      </div>
      <h1>{title}</h1>
      {children}
    </main>
  );
}
