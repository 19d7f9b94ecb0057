/** Tests run on the sources; what they start as processes runs from dist/, which scripts/bootstrap.mjs builds first. */
export default {
  testEnvironment: 'node',
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript' } } }] },
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  testTimeout: 60_000,
  // Two cores: one test file beside the services it uses.
  maxWorkers: 2,
};
