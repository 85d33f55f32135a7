import { readFileSync } from 'node:fs';
import ts from 'typescript';

/**
 * Lists the names that a module exports, sorted, types marked as such, by parsing it.
 *
 * @throws when it exports what has no name to read there: `export *`, a default, an expression
 */
export function exportedNames(module: URL): readonly string[] {
  const source = ts.createSourceFile(module.pathname, readFileSync(module, 'utf8'), ts.ScriptTarget.Latest, true);
  return source.statements.flatMap(namesOf).toSorted();
}

function namesOf(statement: ts.Statement): readonly string[] {
  if (ts.isExportDeclaration(statement)) return namesInList(statement);
  if (!ts.canHaveModifiers(statement) || !ts.getModifiers(statement)?.some(isExport)) return [];
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  }
  if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) {
    return [`type ${statement.name.text}`];
  }
  if ((ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) && statement.name) {
    return [statement.name.text];
  }
  throw unnamed(statement);
}

function namesInList(declaration: ts.ExportDeclaration): readonly string[] {
  const { exportClause } = declaration;
  if (exportClause === undefined || !ts.isNamedExports(exportClause)) throw unnamed(declaration);
  return exportClause.elements.map(({ name, isTypeOnly }) =>
    isTypeOnly || declaration.isTypeOnly ? `type ${name.text}` : name.text,
  );
}

function isExport(modifier: ts.Modifier): boolean {
  return modifier.kind === ts.SyntaxKind.ExportKeyword;
}

function unnamed(statement: ts.Statement): Error {
  return new Error(`${statement.getSourceFile().fileName} exports without a name: ${statement.getText()}`);
}
