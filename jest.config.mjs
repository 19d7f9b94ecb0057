/** Tests run on the sources; what they start as processes runs from dist/, which scripts/bootstrap.mjs builds first. */
export default {
  testEnvironment: 'node',
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript' } } }] },
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  testTimeout: 60_000,
  // On two cores: most of a test file's time is waiting, for blocks, heartbeats and restarts.
  maxWorkers: 3,
};
