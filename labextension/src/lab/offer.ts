/** Lets widgets in this page use the Lab half's own views, so that no kernel sends them. */

import { slots } from '../widget/bundle';

declare const __HASH__: string;

export function offerBundle(): void {
  const page = slots();
  if (page.has(__HASH__)) return;
  page.set(__HASH__, {
    load: async () => {
      const [bundle, { default: css }] = await Promise.all([
        import('../widget/index'),
        import('../view/style.css'),
      ]);
      return { bundle, css };
    },
    ask: () => undefined,
    deliver: () => undefined,
  });
}
