// Where the pages begin.
import { render } from 'preact';
import { App } from './app';
import { listenForLeave } from './desk/sound';
import './style.css';
import './theme';

listenForLeave();
const root = document.getElementById('app');
if (root) render(<App />, root);
