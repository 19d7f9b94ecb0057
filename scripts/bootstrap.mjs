/**
 * From a fresh clone to a running command: `npm start`, `npm test` and the like come here. Needs nothing but Node and npm.
 * This file uses old syntax only, and imports nothing before its check, so that an old Node can say what it lacks.
 */
const needed = [20, 19];
const [major, minor] = process.versions.node.split('.').map(Number);

if (major < needed[0] || (major === needed[0] && minor < needed[1])) {
  console.error(
    `Waybill needs Node ${needed.join('.')} or newer; this is ${process.version} at ${process.execPath}. ` +
      'Install a newer one from your package manager or https://nodejs.org, then run this again.',
  );
  process.exit(3);
}

import('./bootstrap/verbs.mjs').then(({ main }) => main(process.argv.slice(2)));
