// Sounds of the desk, made by the browser itself: one for each priority, and one for a gateway that is lost.
import { Cell } from '../cell';
import { BEEPS, LOUD, type Tone } from './tones';

/** Whether the browser lets this page sound: not before somebody has clicked or pressed a key in it. */
export const allowed = new Cell(false);

let context: AudioContext | null = null;

/** Call it from a click or key. */
export function unlock(): void {
  try {
    context = context ?? new AudioContext();
  } catch {
    // No sound on this machine; the desk shows that it is not allowed.
    return;
  }
  const audio = context;
  const told = (): void => allowed.set(audio.state === 'running');
  audio.onstatechange = told;
  audio.resume().then(told, told);
}

/** Any click or key in the page will do; where the browser lets pages sound by themselves, none is needed. */
export function listenForLeave(): void {
  unlock();
  const once = (): void => {
    unlock();
    if (!allowed.get()) return;
    removeEventListener('pointerdown', once);
    removeEventListener('keydown', once);
  };
  addEventListener('pointerdown', once);
  addEventListener('keydown', once);
}

const EDGE_SECS = 0.01;

/** Sounds once; the answer stops it early. False when the browser does not let it. */
export function play(tone: Tone): (() => void) | false {
  if (!context || context.state !== 'running') return false;
  const gain = context.createGain();
  const oscillator = context.createOscillator();
  // A square wave carries through a noisy room where a sine does not.
  oscillator.type = tone === 'low' || tone === 'medium' ? 'triangle' : 'square';
  gain.gain.value = 0;
  let at = context.currentTime;
  const level = LOUD[tone] / 2;
  for (const [hertz, on, off] of BEEPS[tone]) {
    oscillator.frequency.setValueAtTime(hertz, at);
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(level, at + EDGE_SECS);
    gain.gain.setValueAtTime(level, at + on - EDGE_SECS);
    gain.gain.linearRampToValueAtTime(0, at + on);
    at += on + off;
  }
  oscillator.connect(gain);
  gain.connect(context.destination);
  oscillator.start();
  oscillator.stop(at);
  oscillator.onended = () => gain.disconnect();
  return () => {
    try {
      oscillator.stop();
    } catch {
      // It has ended already.
    }
  };
}
