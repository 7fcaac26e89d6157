//! `strftime` for templates that write the date.

use std::fmt::Write;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Formats seconds since 1970 with Python's directives (English names).
pub(super) fn strftime(seconds: i64, format: &str) -> Result<String, String> {
    let days = seconds.div_euclid(86400);
    let second = seconds.rem_euclid(86400);
    let (year, month, day) = civil(days);
    let weekday = DAYS[(days + 3).rem_euclid(7) as usize];
    let month_name = MONTHS[month as usize - 1];
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let of_year = days - days_from_new_year(year) + 1;
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        // A dash asks for no padding.
        let (directive, plain) = match chars.next() {
            Some('-') => (chars.next(), true),
            other => (other, false),
        };
        let width = |n: usize| if plain { 0 } else { n };
        let written = match directive {
            Some('Y') => write!(out, "{year:04}"),
            Some('y') => write!(out, "{:0w$}", year.rem_euclid(100), w = width(2)),
            Some('m') => write!(out, "{month:0w$}", w = width(2)),
            Some('d') => write!(out, "{day:0w$}", w = width(2)),
            Some('e') => write!(out, "{day:w$}", w = width(2)),
            Some('j') => write!(out, "{of_year:0w$}", w = width(3)),
            Some('H') => write!(out, "{hour:0w$}", w = width(2)),
            Some('I') => write!(out, "{:0w$}", (hour + 11) % 12 + 1, w = width(2)),
            Some('M') => write!(out, "{minute:0w$}", w = width(2)),
            Some('S') => write!(out, "{:0w$}", second % 60, w = width(2)),
            Some('p') => write!(out, "{}", if hour < 12 { "AM" } else { "PM" }),
            Some('B') => write!(out, "{month_name}"),
            Some('b' | 'h') => write!(out, "{}", &month_name[..3]),
            Some('A') => write!(out, "{weekday}"),
            Some('a') => write!(out, "{}", &weekday[..3]),
            Some('F') => write!(out, "{year:04}-{month:02}-{day:02}"),
            Some('T') => write!(out, "{hour:02}:{minute:02}:{:02}", second % 60),
            Some('%') => write!(out, "%"),
            Some(other) => return Err(format!("strftime_now: %{other} is not known")),
            None => return Err("strftime_now: the format ends after %".to_string()),
        };
        // Writing to a string cannot fail.
        let _ = written;
    }
    Ok(out)
}

/// Year, month and day of a day counted from 1 January 1970 (Gregorian).
fn civil(days: i64) -> (i64, i64, i64) {
    // Years begin on 1 March here, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day number of 1 January of a year.
fn days_from_new_year(year: i64) -> i64 {
    let before = year - 1;
    365 * (year - 1970) + (before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400)) - 477
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_across_leap_years() {
        let f = "%A %a %d %-d %B %b %Y %y %m %j %H:%M:%S %I%p %%";
        let cases = [
            (0, "Thursday Thu 01 1 January Jan 1970 70 01 001 00:00:00 12AM %"),
            (951_827_696, "Tuesday Tue 29 29 February Feb 2000 00 02 060 12:34:56 12PM %"),
            (1_735_689_599, "Tuesday Tue 31 31 December Dec 2024 24 12 366 23:59:59 11PM %"),
            (-1, "Wednesday Wed 31 31 December Dec 1969 69 12 365 23:59:59 11PM %"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(strftime(seconds, f).expect("formats"), expected);
        }
        assert_eq!(strftime(0, "%Q").expect_err("unknown"), "strftime_now: %Q is not known");
    }
}
