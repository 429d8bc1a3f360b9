// How the pages are built: plain files, nothing inline, for Chromium 70 and later.
import { defineConfig } from 'vite';

export default defineConfig({
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: {
    target: 'chrome70',
    cssTarget: 'chrome70',
    // The policy for contents allows files of the gateway alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  // `npm run dev` shows the pages as they are written, in front of a real gateway; its certificate is its own.
  server: { proxy: { '/api': { target: process.env.SCHOOLGATE ?? 'https://127.0.0.1:8443', secure: false } } },
});
