// What reports are put together from.
import type { ComponentChildren, JSX } from 'preact';
import { said, t, type Text } from '../texts';
import { Table } from '../ui/table';
import { counted } from './numbers';
import { Part, Sign } from './parts';

export interface Figure {
  name: Text;
  value: Text;
  target: Text;
  holds: boolean | null;
}

/** Figures with what is wanted of each. */
export function FigureTable({ figures }: { figures: Figure[] }): JSX.Element | null {
  if (figures.length === 0) return null;
  const verdict = (f: Figure): string => (f.holds === null ? '' : t(f.holds ? 'reports.holds' : 'reports.holds_not'));
  return (
    <Part title={t('reports.figures')}>
      <Table
        caption={t('reports.figures')}
        rows={figures}
        id={(f) => f.name.en}
        columns={[
          { key: 'name', title: t('reports.figure'), cell: (f) => <strong>{said(f.name)}</strong> },
          { key: 'value', title: t('devices.value'), cell: (f) => said(f.value) || '—' },
          { key: 'target', title: t('reports.target'), cell: (f) => said(f.target) || '—' },
          { key: 'holds', title: t('reports.judged'), cell: (f) => (f.holds === null ? '—' : <Sign kind={f.holds ? 'good' : 'warn'}>{verdict(f)}</Sign>) },
        ]}
      />
    </Part>
  );
}

interface ListedProps<R> {
  title: string;
  rows: R[] | undefined;
  heads: string[];
  cells: (row: R) => ComponentChildren[];
  id: (row: R) => string | number;
  /** Said when there is nothing; without it the list is left out. */
  empty?: string;
}

/** One list of a report. */
export function Listed<R>({ title, rows, heads, cells, id, empty }: ListedProps<R>): JSX.Element | null {
  if (!rows || (rows.length === 0 && empty === undefined)) return null;
  return (
    <Part title={rows.length > 0 ? counted(title, rows.length) : title}>
      <Table
        caption={title}
        rows={rows}
        id={id}
        empty={empty}
        columns={heads.map((head, n) => ({ key: head, title: head, cell: (row: R) => cells(row)[n] }))}
      />
    </Part>
  );
}
