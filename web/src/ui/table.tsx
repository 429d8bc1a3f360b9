// Tables that sort by any column, become cards on a phone, and show further pages on demand.
import type { ComponentChildren, JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import type { Paged } from '../api';
import { t } from '../texts';
import { Button } from './button';
import { csvOf, download } from './csv';
import { Refusal } from './toast';

export interface Column<T> {
  key: string;
  title: string;
  cell: (row: T) => ComponentChildren;
  /** What it sorts by and what stands in the CSV; a column without cannot be sorted. */
  by?: (row: T) => string | number | null;
  /** Figures stand at the right. */
  figure?: boolean;
}

interface TableProps<T> {
  /** What it shows, for screen readers and the name of the CSV. */
  caption: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  id: (row: T) => string | number;
  empty?: string;
  busy?: boolean;
  /** Sorted by this at first: `-` before it for the largest first. Without it the order of the rows stays. */
  sorted?: string;
  csv?: boolean;
  rowClass?: (row: T) => string | undefined;
}

function compare(a: string | number | null, b: string | number | null): number {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b), 'zh-CN', { numeric: true });
}

export function Table<T>(props: TableProps<T>): JSX.Element {
  const { caption, columns, rows, id, empty, busy, sorted = '', csv, rowClass } = props;
  const [sort, setSort] = useState(sorted);
  const [key, down] = sort.startsWith('-') ? [sort.slice(1), true] : [sort, false];
  const ordered = useMemo(() => {
    const by = columns.find((column) => column.key === key)?.by;
    if (!by) return rows;
    const sign = down ? -1 : 1;
    return [...rows].sort((a, b) => sign * compare(by(a), by(b)));
  }, [rows, key, down, columns]);
  const save = (): void => {
    const shown = columns.filter((column) => column.by);
    const lines = ordered.map((row) => shown.map((column) => column.by?.(row) ?? null));
    download(`${caption}.csv`, csvOf(shown.map((column) => column.title), lines));
  };
  return (
    <div class="table" aria-busy={busy}>
      {csv && (
        <div class="row end">
          <Button onClick={save} disabled={!rows.length}>
            {t('save_csv')}
          </Button>
        </div>
      )}
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => {
              const on = column.key === key;
              const order = on ? (down ? 'descending' : 'ascending') : undefined;
              return (
                <th key={column.key} scope="col" class={column.figure ? 'figure' : undefined} aria-sort={order}>
                  {column.by ? (
                    <button type="button" class="bare" onClick={() => setSort(on && !down ? `-${column.key}` : column.key)}>
                      {column.title}
                      <span aria-hidden="true">{on ? (down ? ' ▼' : ' ▲') : ' ↕'}</span>
                    </button>
                  ) : (
                    column.title
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {ordered.map((row) => (
            <tr key={id(row)} class={rowClass?.(row)}>
              {columns.map((column) => (
                <td key={column.key} class={column.figure ? 'figure' : undefined} data-title={column.title}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {!rows.length && <p class="empty">{busy ? t('loading') : (empty ?? t('nothing_here'))}</p>}
    </div>
  );
}

/** A table of a list that comes in pages. */
export function PagedTable<T>(props: Omit<TableProps<T>, 'rows' | 'busy'> & { paged: Paged<T> }): JSX.Element {
  const { paged, ...table } = props;
  return (
    <>
      <Refusal problem={paged.problem} again={paged.again} />
      <Table {...table} rows={paged.rows} busy={paged.busy} />
      {paged.more && (
        <div class="row centre">
          <Button onClick={paged.more} disabled={paged.busy}>
            {t('show_more')}
          </Button>
        </div>
      )}
    </>
  );
}
