//! The enrolment string as a QR code.

use qrcode::render::{svg, unicode};
use qrcode::types::QrError;
use qrcode::{EcLevel, QrCode};

/// As SVG, at least 256 pixels wide.
pub(super) fn svg(text: &str) -> Result<String, QrError> {
    Ok(code(text)?.render::<svg::Color<'_>>().min_dimensions(256, 256).build())
}

/// For a terminal: half blocks, dark on light, so that cameras read it from dark screens too.
pub(super) fn text(text: &str) -> Result<String, QrError> {
    let render = |code: QrCode| {
        code.render::<unicode::Dense1x2>()
            .dark_color(unicode::Dense1x2::Light)
            .light_color(unicode::Dense1x2::Dark)
            .build()
    };
    code(text).map(render)
}

fn code(text: &str) -> Result<QrCode, QrError> {
    QrCode::with_error_correction_level(text, EcLevel::L)
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_enrollment_string_fits() {
        let uri = format!("strata://enroll?url=wss%3A%2F%2F{}&token=enr_{}", "h".repeat(200), "t".repeat(43));
        assert!(super::svg(&uri).unwrap().contains("<svg"));
        assert!(super::text(&uri).unwrap().lines().count() > 20);
    }
}
