// How the pages are built: plain files, nothing inline, for Chromium 70 and later.
import { defineConfig } from 'vite';
import { mock } from './dev/mock.ts';

export default defineConfig(({ command }) => ({
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: {
    target: 'chrome70',
    cssTarget: 'chrome70',
    // The policy for contents allows files of the gateway alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  // `npm run dev` without a gateway; SCHOOLGATE=http://127.0.0.1:8080 asks a real one.
  plugins: command === 'serve' && !process.env.SCHOOLGATE ? [mock()] : [],
  server: process.env.SCHOOLGATE ? { proxy: { '/api': process.env.SCHOOLGATE } } : {},
}));
