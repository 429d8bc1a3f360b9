// Numbers that look like chance and are the same each time: a mock must show the same year to every test.

/** A number from 0 to below 1 made of a text and numbers (FNV-1a, then a last mixing). */
export function chance(text: string, ...numbers: number[]): number {
  let hash = 0x811c9dc5;
  const take = (byte: number) => {
    hash = Math.imul(hash ^ byte, 0x01000193);
  };
  for (let i = 0; i < text.length; i += 1) take(text.charCodeAt(i) & 0xff);
  for (const number of numbers) {
    let rest = Math.floor(number);
    for (let i = 0; i < 6; i += 1) {
      take(rest & 0xff);
      rest = Math.floor(rest / 256);
    }
  }
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  return (hash >>> 0) / 0x1_0000_0000;
}
