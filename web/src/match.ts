// Paths against patterns.

/** The gaps of a pattern such as `/alarms/:id`, or null when the path is another. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const want = pattern.split('/');
  const have = path.replace(/\/+$/, '').split('/');
  if (path === '/' ? pattern !== '/' : want.length !== have.length) return null;
  const gaps: Record<string, string> = {};
  for (let i = 0; i < want.length; i++) {
    const [part, given] = [want[i] ?? '', have[i] ?? ''];
    if (part.startsWith(':')) {
      try {
        gaps[part.slice(1)] = decodeURIComponent(given);
      } catch {
        return null;
      }
    } else if (part !== given) return null;
  }
  return gaps;
}
