/**
 * A worker's memory is sized for what it does: it holds little and lets go of much. By default V8's space for young objects
 * grows to 32 MB while modules load, once in each of the two isolates, and never shrinks: 30 MB of idle worker (measured).
 *
 * Imported first, for its effect: flags bind what comes after them.
 */
import { setFlagsFromString } from 'node:v8';

/** The workflows' isolate, which Temporal's SDK makes later. Megabytes. */
setFlagsFromString('--max-semi-space-size=1');
/** This one: it exists already, and has not grown yet. */
setFlagsFromString('--semi-space-growth-factor=1');
/** Old objects are let go of when a fifth has come on top of them, not when as much again has: 50 MB of a busy worker (measured). */
setFlagsFromString('--heap-growing-percent=20');
