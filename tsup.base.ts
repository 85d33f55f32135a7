import { copyFileSync, cpSync, existsSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Options } from 'tsup';

const root = new URL('./', import.meta.url);
const sourceCondition = '@opencode-tools/source';

/** Matches what an app bundles: all but the native or large modules that it installs as real dependencies. */
const bundledInApps = /^(?!(?:better-sqlite3|dockerode|pg|pg-native)$)/;

const common = {
  format: ['esm'],
  target: 'node22',
  platform: 'node',
  sourcemap: true,
  clean: true,
  silent: true,
} satisfies Options;

/** CommonJS dependencies inside a bundle call `require` for Node's own modules. */
const requireInBundle = {
  js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
};

/**
 * Gives the build of a library package: ESM with declarations, dependencies left as imports.
 *
 * @param options `entry` lists the modules behind the export map (default `src/index.ts`); `images` copies the
 * Dockerfiles of `docker-images/` to `dist/images`
 */
export function library(options: { readonly entry?: readonly string[]; readonly images?: boolean } = {}): Options {
  return {
    ...common,
    entry: [...(options.entry ?? ['src/index.ts'])],
    dts: { compilerOptions: { ignoreDeprecations: '6.0' } },
    ...(options.images ? { onSuccess: async () => copyImages() } : {}),
  };
}

/**
 * Gives the build of an app: one bundle split into lazily loaded chunks, all of them flat in `dist`, beside
 * `bin.cjs` (the launcher) and `images/` (the Dockerfiles).
 */
export function app(): Options {
  return {
    ...common,
    entry: { main: 'src/main.ts' },
    dts: false,
    splitting: true,
    minify: false,
    noExternal: [bundledInApps],
    removeNodeProtocol: false,
    esbuildPlugins: [lateModules],
    esbuildOptions: (esbuild) => {
      // Fewer bytes to read and hash at each start; names stay, for the stacks in bug reports.
      esbuild.minifyWhitespace = true;
      esbuild.minifySyntax = true;
      esbuild.conditions = [sourceCondition, 'module', 'node', 'import'];
      esbuild.legalComments = 'linked';
    },
    banner: requireInBundle,
    onSuccess: async () => {
      copyFileSync(new URL('scripts/launcher.cjs', root), 'dist/bin.cjs');
      copyImages();
      const { build } = await import('tsup');
      await build({ ...gateway(), config: false });
    },
  };
}

/**
 * Gives the build of the egress gateway's process: one file, for a container that has Node and nothing else. CommonJS, because an
 * import of `node:http` reads all its members, and one of them loads Node's own fetch: some 10 MB that the gateway never uses.
 */
export function gateway(): Options {
  return {
    ...common,
    format: ['cjs'],
    entry: { gateway: fileURLToPath(new URL('packages/egress/src/gateway/main.ts', root)) },
    noExternal: [/./],
    esbuildOptions: (esbuild) => {
      esbuild.conditions = [sourceCondition, 'module', 'node', 'import'];
    },
    treeshake: true,
    splitting: false,
    sourcemap: false,
    clean: false,
    dts: false,
  };
}

/**
 * Builds one file out of a script that a test starts many times as a process: it starts in a third of the time of its sources.
 *
 * @param script path of the TypeScript file
 * @param directory where the bundle goes; below the package, so that what stays outside the bundle is found
 * @returns path of the bundle
 */
export async function bundleScript(script: string, directory: string): Promise<string> {
  const { build } = await import('tsup');
  await build({
    ...common,
    entry: { [basename(script, '.ts')]: script },
    outDir: directory,
    noExternal: [/^(?!(?:better-sqlite3|dockerode|pg-native|vitest)$)/],
    external: ['better-sqlite3', 'dockerode', 'pg-native', 'vitest'],
    esbuildOptions: (esbuild) => {
      esbuild.conditions = [sourceCondition];
    },
    banner: requireInBundle,
    splitting: false,
    sourcemap: false,
    clean: false,
    dts: false,
    config: false,
  });
  return join(directory, `${basename(script, '.ts')}.js`);
}

/**
 * Modules of Node that cost a verb that only reads more than it needs of them: our own modules get a `node:crypto`, and commander
 * a `node:child_process`, that is loaded when it is first used.
 */
const lateModules: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'late-modules',
  setup(build) {
    const script = (name: string) => ({ path: fileURLToPath(new URL(`scripts/${name}.mjs`, root)) });
    build.onResolve({ filter: /^node:crypto$/ }, ({ importer }) =>
      importer.includes('/node_modules/') ? null : script('late-crypto'),
    );
    build.onResolve({ filter: /^node:child_process$/ }, ({ importer }) =>
      importer.includes('/node_modules/commander/') ? script('late-child-process') : null,
    );
  },
};

function copyImages(): void {
  const images = new URL('docker-images/', root);
  rmSync('dist/images', { recursive: true, force: true });
  if (existsSync(images)) cpSync(fileURLToPath(images), 'dist/images', { recursive: true });
}
