"""Money: exact amounts in the minor units of a currency (ISO 4217)."""

from decimal import Context, Decimal

__all__ = ["CURRENCIES", "amount_of", "minor_units"]

_TWO = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY
COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR
MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG
SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES
WST XCD YER ZAR ZMW
"""
_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"

CURRENCIES = {
    code: digits
    for codes, digits in ((_TWO, 2), (_NONE, 0), (_THREE, 3), (_FOUR, 4))
    for code in codes.split()
}
"""The decimals of each currency, by its code. Source: ISO 4217, list one."""

_exact = Context(prec=100)


def minor_units(amount: Decimal, currency: str) -> Decimal:
    """The whole number of minor units (cents) that `amount` of `currency` is.

    Raises `ValueError` when it has more decimals than the currency, `KeyError` for a currency
    that there is not.
    """
    digits = CURRENCIES[currency]
    minor = _exact.scaleb(amount, digits)
    whole = minor.to_integral_value(context=_exact)
    if whole != minor:
        raise ValueError(f"An amount in {currency} has at most {digits} decimals.")
    return whole


def amount_of(minor: Decimal, currency: str) -> Decimal:
    """The amount that so many minor units of `currency` are."""
    return _exact.scaleb(minor, -CURRENCIES[currency])
