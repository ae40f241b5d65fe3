/** Ends a run with one plain line, `N passed, N failed`, for whoever adds results up. */
import type { TestEvent } from 'node:test/reporters';

export default async function* closingLine(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  let passed = 0;
  let failed = 0;
  for await (const event of events) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    if (event.data.details.type === 'suite') continue;
    if (event.type === 'test:fail') failed += 1;
    else passed += 1;
  }
  // No test at all is no success.
  if (passed + failed === 0) failed = 1;
  yield `\n${passed} passed, ${failed} failed\n`;
}
