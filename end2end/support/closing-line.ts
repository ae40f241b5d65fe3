/** Ends a run with one plain line, `N passed, N failed`, for whoever adds results up. */
import type { FullConfig, FullResult, Reporter, Suite } from '@playwright/test/reporter';

export default class ClosingLine implements Reporter {
  private suite: Suite | undefined;

  onBegin(_config: FullConfig, suite: Suite): void {
    this.suite = suite;
  }

  onEnd(result: FullResult): void {
    const outcomes = this.suite?.allTests().map((test) => test.outcome()) ?? [];
    const count = (...kinds: string[]): number => outcomes.filter((kind) => kinds.includes(kind)).length;
    const passed = count('expected', 'flaky');
    const skipped = count('skipped');
    let failed = count('unexpected');
    // An error outside of any test, or no test at all, is no success.
    if (failed === 0 && result.status !== 'passed') failed = 1;
    console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  }

  printsToStdio(): boolean {
    return true;
  }
}
