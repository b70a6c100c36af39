import { Progress, ProgressSize } from '@patternfly/react-core';
import type { Progress as Transferred } from '../live/rows.ts';
import { transferText } from './transfer-text.ts';

export function Transfer({ progress, compact }: { readonly progress: Transferred; readonly compact?: true }) {
  const percent = progress.totalBytes === 0 ? 0 : Math.min(100, Math.round((100 * progress.doneBytes) / progress.totalBytes));
  return (
    <div className={compact ? '' : 'carnet-below'}>
      <Progress
        value={percent}
        aria-label={`${progress.step}: ${percent} %`}
        size={compact ? ProgressSize.sm : ProgressSize.md}
      />
      <span className="carnet-quiet">
        {progress.step}: {transferText(progress)}
      </span>
    </div>
  );
}
