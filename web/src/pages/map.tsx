// To come.
import type { JSX } from 'preact';
export default function Page(): JSX.Element {
  return <h1>map</h1>;
}
