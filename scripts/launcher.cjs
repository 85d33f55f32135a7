#!/usr/bin/env node
/*
 * The first file that runs in both apps; the build copies it to `dist/bin.cjs`.
 * It is CommonJS in old syntax on purpose: it has to be parsed by any Node to say which Node is needed, and it starts
 * faster than a module. Only `main.js`, loaded last, brings in the program.
 */
'use strict';

var required = [22, 18];
var running = process.versions.node.split('.').map(Number);
var product = require('../package.json');

function isTooOld() {
  return running[0] < required[0] || (running[0] === required[0] && running[1] < required[1]);
}

function compileCacheDirectory() {
  var base = process.env.XDG_CACHE_HOME || (process.env.HOME && process.env.HOME + '/.cache');
  return process.env.NODE_COMPILE_CACHE || (base ? base + '/opencode-tools/compile-cache' : undefined);
}

function start() {
  // A cache that cannot be written costs time, not correctness: Node reports it in a status that needs no answer.
  require('node:module').enableCompileCache(compileCacheDirectory());
  import('./main.js')
    .then(function (program) {
      return program.main(process.argv.slice(2));
    })
    .then(
      function (code) {
        process.exitCode = code;
      },
      function (error) {
        process.stderr.write(product.name + ': ' + ((error && error.stack) || error) + '\n');
        process.exitCode = 70;
      },
    );
}

if (isTooOld()) {
  process.stderr.write(
    product.name +
      ' needs Node ' +
      required.join('.') +
      ' or newer; this is Node ' +
      process.versions.node +
      '.\n' +
      'Remedy: install Node 24, or run it once with: npx --yes -p node@24 -p ' +
      product.name +
      ' ' +
      product.name +
      '\n',
  );
  process.exitCode = 6;
} else if (process.argv.length === 3 && (process.argv[2] === '--version' || process.argv[2] === '-V')) {
  process.stdout.write(product.version + '\n');
} else {
  start();
}
