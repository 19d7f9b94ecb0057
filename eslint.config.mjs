/** The house rules: type-aware correctness first, then the fences between the folders, each with its reason in words. */
import { builtinModules } from 'node:module';
import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

const nodeBuiltins = [...builtinModules, 'node:*'];

/** `files` may not import what a pattern matches; the message says why. Type imports pass where `allowTypeImports`. */
const fence = (files, ...patterns) => ({
  files: [files].flat(),
  rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns }] },
});

const perJob = ['recall', 'snapchain', 'audio', 'tier'].map((job) =>
  fence(
    `activities/${job}/**`,
    {
      group: ['**/workflows/**', '**/workers/**', '**/client/**', '**/servers/**', '**/test/**'],
      message: 'Activities know nothing of who calls them.',
    },
    {
      regex: `^\\.\\./(?!${job}/|shared/)`,
      message: 'A job knows its own folder and shared/: what another job does is not its business.',
    },
  ),
);

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.cache/', 'coverage/'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // A forgotten await on a Temporal call is a lost step: nothing else here matters as much.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/require-await': 'off',
      'object-shorthand': 'error',
      eqeqeq: 'error',
      'no-console': 'error',
      'max-lines': ['error', { max: 300 }],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'env',
          message: 'Settings are read in workers/config.ts, once, with their origin.',
        },
      ],
    },
  },
  {
    files: ['test/**', 'bench/**', 'workers/config.ts'],
    rules: { 'no-restricted-properties': 'off' },
  },
  { files: ['test/**', 'bench/**'], rules: { 'max-lines-per-function': 'off' } },
  {
    // Jest's matchers are `any` and its peers' methods are passed around as values.
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/no-unsafe-assignment': 'off', '@typescript-eslint/unbound-method': 'off' },
  },
  {
    files: ['scripts/**/*.mjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        Buffer: 'readonly',
        fetch: 'readonly',
        URL: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        AbortSignal: 'readonly',
      },
    },
  },
  fence(
    'workflows/**',
    {
      regex: '/activities/(?!.*/contract$)',
      allowTypeImports: true,
      message: 'Workflows know activities by type only.',
    },
    {
      group: ['**/workers/**', '**/client/**', '**/servers/**', '**/test/**'],
      message: 'Workflows are the bottom layer.',
    },
    {
      group: [...nodeBuiltins, '@temporalio/worker', '@temporalio/client', '@temporalio/activity'],
      message: 'Not deterministic: do it in an activity.',
    },
  ),
  ...perJob,
  fence('activities/shared/**', {
    group: [
      '**/workflows/**',
      '**/workers/**',
      '**/client/**',
      '**/servers/**',
      '**/test/**',
      '../recall/**',
      '../snapchain/**',
      '../audio/**',
      '../tier/**',
    ],
    message: 'What is shared between jobs knows none of them.',
  }),
  fence('activities/*/contract.ts', {
    // Its steps are a file of types: what a contract file would be too long with.
    regex: '^(?!.*/contract$|\\./steps$|zod$)',
    message: 'A contract is pure: it imports nothing but zod and contracts.',
  }),
  fence('servers/**', {
    group: ['**/workflows/**', '**/workers/**', '**/client/**', '**/test/**'],
    message: 'A server answers HTTP: it starts and steers no workflow.',
  }),
  fence(
    'client/**',
    { regex: '/activities/(?!.*/contract$)', allowTypeImports: true, message: 'The client speaks to workflows only.' },
    {
      regex: '/workers/(?!config$|processes$)',
      message: 'The client reads settings by workers/config and starts processes by workers/processes: no other door.',
    },
    { group: ['**/servers/**', '**/test/**'], message: 'Servers are started by workers/processes.' },
  ),
  fence('workers/**', { group: ['**/client/**', '**/test/**'], message: 'Workers wire; they do not drive.' }),
);
