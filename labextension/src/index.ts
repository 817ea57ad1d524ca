/** The Lab half: how JupyterLab and Notebook draw a run that is kept in a notebook. */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';

import { offerBundle } from './lab/offer';
import { RunRenderer } from './lab/renderer';
import { RUN_MIME } from './protocol';

/** Before ipywidgets' views (-10): they show an error where the kernel is gone. */
const RANK = -20;

offerBundle();

const extension: IRenderMime.IExtension = {
  id: 'nbflow:run',
  description: 'Draws the runs of nbflow that are kept in a notebook.',
  rendererFactory: {
    // It draws text only, whatever the data says.
    safe: true,
    mimeTypes: [RUN_MIME],
    createRenderer: (options) => new RunRenderer(options),
  },
  rank: RANK,
  dataType: 'json',
};

export default extension;
