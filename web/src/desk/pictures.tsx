// What the cameras saw; pictures arrive after the alarm. Clips will stand in the same row.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { get } from '../api';
import { useCell } from '../cell';
import { live, site, takePictures } from '../live';
import type { Picture } from '../model';
import { acting, may } from '../session';
import { t } from '../texts';
import { Dialog } from '../ui/dialog';
import { Icon } from '../ui/icon';
import { time } from '../ui/time';

export function Pictures({ alarm }: { alarm: number }): JSX.Element | null {
  const told = useCell(live, (now) => now.pictures.get(alarm));
  const [large, setLarge] = useState<Picture | null>(null);
  const [asked, setAsked] = useState<readonly Picture[]>([]);
  const allowed = may('pictures');
  useEffect(() => {
    setLarge(null);
    setAsked([]);
    if (!allowed) return undefined;
    const leave = new AbortController();
    get<{ rows: Picture[] }>(`/api/v1/alarms/${alarm}/pictures`, {}, leave.signal).then(
      ({ rows }) => {
        setAsked(rows);
        if (rows.length && !live.get().pictures.has(alarm)) takePictures(alarm, rows);
      },
      // The stream tells of those that come.
      () => undefined,
    );
    return () => leave.abort();
  }, [alarm, allowed]);
  if (!allowed) return null;
  const pictures = told ?? asked;
  return (
    <section class="pictures" aria-label={t('desk.pictures')}>
      {pictures.length === 0 ? (
        <p class="empty">
          <Icon name="camera" size={32} />
          <br />
          {t('desk.no_pictures')}
        </p>
      ) : (
        pictures.map((picture) => (
          <figure key={picture.picture}>
            <button type="button" class="bare" onClick={() => setLarge(picture)} aria-label={t('desk.enlarge', { camera: named(picture) })}>
              <Photo alarm={alarm} picture={picture} />
            </button>
            <figcaption>
              {named(picture)} {time(picture.at)}
            </figcaption>
          </figure>
        ))
      )}
      {large && (
        <Dialog title={`${named(large)} ${time(large.at)}`} onClose={() => setLarge(null)} wide>
          <Photo alarm={alarm} picture={large} />
        </Dialog>
      )}
    </section>
  );
}

function named(picture: Picture): string {
  return site.get()?.devices.find(({ id }) => id === picture.device)?.name ?? picture.device;
}

function Photo({ alarm, picture }: { alarm: number; picture: Picture }): JSX.Element {
  const { actor } = acting();
  const query = actor ? `?actor=${encodeURIComponent(actor)}` : '';
  const [failed, setFailed] = useState(false);
  if (failed) return <span class="empty">{t('desk.picture_gone')}</span>;
  return (
    <img
      src={`/api/v1/alarms/${alarm}/pictures/${encodeURIComponent(picture.picture)}${query}`}
      alt={t('desk.picture_of', { camera: named(picture), time: time(picture.at) })}
      onError={() => setFailed(true)}
    />
  );
}
