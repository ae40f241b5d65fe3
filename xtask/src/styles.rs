//! The style sheets become one file.

use std::path::{Path, PathBuf};

use lightningcss::bundler::{Bundler, FileProvider};
use lightningcss::printer::PrinterOptions;
use lightningcss::stylesheet::{MinifyOptions, ParserOptions};

use crate::files;
use crate::run::{Result, root, say};

/// Bundles `style/main.css` with what it imports, minified, into `pkg/app.css`.
/// Without a `main.css` the sheets follow each other by name.
pub fn build(pkg: &Path) -> Result<()> {
    let sheets = sheets()?;
    let mut css = String::new();
    for sheet in &sheets {
        css.push_str(&bundle(sheet)?);
    }
    let out = pkg.join("app.css");
    files::write(&out, css.as_bytes())?;
    let packed = files::compress(&out)?;
    say(format!(
        "styles: {} kB, {} kB brotli",
        kb(css.len()),
        kb(packed)
    ));
    Ok(())
}

fn sheets() -> Result<Vec<PathBuf>> {
    let dir = root().join("style");
    let main = dir.join("main.css");
    if main.is_file() {
        return Ok(vec![main]);
    }
    let mut all = files::walk(&dir)?;
    all.retain(|path| path.extension().is_some_and(|kind| kind == "css"));
    Ok(all)
}

fn bundle(sheet: &Path) -> Result<String> {
    let provider = FileProvider::new();
    let mut bundler = Bundler::new(&provider, None, ParserOptions::default());
    let mut parsed = bundler.bundle(sheet).map_err(|error| match &error.loc {
        // Its lines count from 0, everybody's editor from 1.
        Some(at) => format!(
            "{}:{}:{}: {}",
            at.filename,
            at.line + 1,
            at.column,
            error.kind
        ),
        None => error.to_string(),
    })?;
    parsed
        .minify(MinifyOptions::default())
        .map_err(|error| error.to_string())?;
    let options = PrinterOptions {
        minify: true,
        ..PrinterOptions::default()
    };
    Ok(parsed
        .to_css(options)
        .map_err(|error| error.to_string())?
        .code)
}

/// Bytes as kilobytes with one decimal.
pub fn kb(bytes: usize) -> String {
    format!("{}.{}", bytes / 1000, bytes % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_keep_their_layers_and_themes_stay_in_the_browser() {
        let dir = std::env::temp_dir().join(format!("attorn-xtask-css-{}", std::process::id()));
        files::write(
            &dir.join("main.css"),
            b"@layer base; @import 'base.css' layer(base);",
        )
        .unwrap();
        files::write(
            &dir.join("base.css"),
            b"a { color: light-dark(#000, #fff) }",
        )
        .unwrap();
        let css = bundle(&dir.join("main.css")).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(
            css.contains("@layer base{a{color:light-dark(#000,#fff)}}"),
            "{css}"
        );
    }

    #[test]
    fn a_broken_sheet_is_named_with_its_line() {
        let dir = std::env::temp_dir().join(format!("attorn-xtask-bad-css-{}", std::process::id()));
        files::write(&dir.join("main.css"), b"a { color: red }\nb { color }").unwrap();
        let error = bundle(&dir.join("main.css")).unwrap_err();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(error.contains("main.css:2"), "{error}");
    }
}
