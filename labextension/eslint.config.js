import tseslint from 'typescript-eslint';

const NO_MARKUP = [
  {
    selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']",
    message: 'Nothing from data becomes markup.',
  },
  {
    selector:
      "MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML|write|writeln)$/][object.name!='process']",
    message: 'Nothing from data becomes markup.',
  },
];

export default tseslint.config(
  { ignores: ['lib/', 'node_modules/'] },
  ...tseslint.configs.strict,
  {
    files: ['src/**/*.{ts,tsx}', 'tests/**/*.{ts,tsx}', 'dev/**/*.{ts,tsx}'],
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'off',
      eqeqeq: 'error',
      'no-console': 'error',
      'no-eval': 'error',
      'no-new-func': 'error',
      'no-restricted-syntax': ['error', ...NO_MARKUP],
      'prefer-const': 'error',
    },
  },
  {
    // The views know only what they draw: no widget, no Jupyter, no kernel.
    files: ['src/view/**/*.{ts,tsx}'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: '^(@jupyterlab|@jupyter|@lumino|@jupyter-widgets|anywidget)(/|$)',
              message: 'src/view imports nothing of Jupyter.',
            },
            {
              regex: '(^|/)\\.\\./(\\.\\./)?(?!protocol$)(model|kernel|index|widget|lab)(/|$)',
              message: 'src/view imports only src/view and src/protocol.',
            },
          ],
        },
      ],
    },
  },
  {
    // The reducer and the link stand between protocol and views.
    files: ['src/model.ts', 'src/kernel.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '/(lab|widget)(/|$)', message: 'Arrows point down.' }] },
      ],
    },
  },
);
