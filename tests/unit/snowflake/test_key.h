/* An RSA key made for the tests; it opens nothing. */
#ifndef SNOWGATE_TEST_KEY_H
#define SNOWGATE_TEST_KEY_H

#include "snowgate/base.h"

static const char test_private_key[] = "-----BEGIN PRIVATE KEY-----\n"
				       "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCNf5x7gYG5GiDS\n"
				       "OIMyt4nT4HNxPGtq9IKiGwBF6zMusL98oyVjJzAVY6ln8zQDYN7phAyKblBV7icB\n"
				       "HW9ah1VqX0i909uM95o2rPrzHGUiIANFXpaCtHhMaKBl+DSa6JPsEsOARd8dY2Eh\n"
				       "abL/srVc8qQxYAaL54lZE50sjz/UsPbVSh08q6kAwQtEN/xl1gJXcOc5gr4As2aW\n"
				       "mdSI38SOiFlgCs3pnEDNhpncyeHvWswMm3wPatpFV+DsdcfDDxo6uomrsAoP6Lj8\n"
				       "tcXnLmSPBgidGhUdX8T+MaO+DVuytUeRzam6t4scEclH+2bkN9oJiw8XmuJh/U+q\n"
				       "CBVjqu9XAgMBAAECggEAFa1+Phb/gRSKq1+IYhBnp4kpxn2uK0BIdH3/KGG51qZc\n"
				       "v8My1XefJeJohV9nZuPEDYcdxhDTx/ETaAKoGPjGJ49vfSg5k5AqFRmih0pLXX4F\n"
				       "YkRKehMcoarJyrV1lwyYqkB5qRY18gepTXgnDzDEGPhSGqpjy7KY190UZaDl84yV\n"
				       "TAGgs/mPl5VJBH1j+ItKztzNSanyXCXA+DaE9pqAOL62c3fdx9Jqf7cuDWNcZldi\n"
				       "14y+fqAAE+WJMWybUEAyH1uSxpC5hzEwnAoTIFff0s3339ToqvdE5RexwaT10rQo\n"
				       "ndvqXA6NNK11Q/ria9/GyCiFPz9RF17ctGwMgpbOUQKBgQDGQTMM3wCzDRZ83lAy\n"
				       "PYV3t91vHzYpcyvY+6fDaqK1jB99h4cI2+MsK4tcitWZkPH/1U2RjlWJIUCaHZbV\n"
				       "vfB8KA9HY+yiVWuZUGJEXal4sGf61zGq45kNsbUq9tPJq2BlVijiTsCANEiVDhJI\n"
				       "sc4d6DMX2LS+hiN1E++zv70PyQKBgQC2tmcXBbRSHKSvYVBkjY6gaTWES6Ws3cH2\n"
				       "0ws6YuqA1ueVSl5TN3t4pXCxodfiXuhjq7n4zHlozhLHPy63N/thHt906gXh5V+p\n"
				       "nY3snVbIxKh5LBbKQE4cB2Hj/l+8e0JW0GXFGin0J/Zekwcih3MTW5JI01ZrwqCC\n"
				       "QcPx7fTWHwKBgGBUpd2HLevSXC7oRsdipUt6h5nK7KJPV+rivK1zTwQvxc1U4QQo\n"
				       "88Uuk1SwEQHBMBVDK6GiK2WqRp2b6wKIfCWXwXTK1Nw77UBdkqHtcL832A5GKdgD\n"
				       "JwdEZecub9H596jFqK/t3BNvVCU45SF1Y9WcUdcwcQJyYyAsQ7hvXgohAoGBAJFb\n"
				       "Z4RPS3ePxgyolLaKT4+aY7MOI431FhxxJZubmghJ8A87DPOTTi1bIN6QbRlwe9zf\n"
				       "f6JJucUBPLs6rsWgSeKoFwoCLA/c1VAxQfmd6q7qlUVhJ/hbVEjELsKdWjiursY2\n"
				       "IOC/weS17jCrM5/qtkgOL8C0MSqlueAmxeYwcvntAoGAO0DO5WyeV9QgZMOnDUnk\n"
				       "lsWEP0jTtTeXl6zmi/Iz5Jb7IiyEr5k6umrtuAVPR1DgMlHnJBmAmeZCZnj08EKh\n"
				       "0lRATBtbKTR8KcyKuzVHFeC4LGoPS+9S8iJ3HecBAj3uD8IP3ambOpIwQMA//Hqn\n"
				       "gsVlbrgmwZUfNib9LvI+8D0=\n"
				       "-----END PRIVATE KEY-----\n";
static const char test_public_key[] UNUSED = "-----BEGIN PUBLIC KEY-----\n"
					     "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAjX+ce4GBuRog0jiDMreJ\n"
					     "0+BzcTxravSCohsAReszLrC/fKMlYycwFWOpZ/M0A2De6YQMim5QVe4nAR1vWodV\n"
					     "al9IvdPbjPeaNqz68xxlIiADRV6WgrR4TGigZfg0muiT7BLDgEXfHWNhIWmy/7K1\n"
					     "XPKkMWAGi+eJWROdLI8/1LD21UodPKupAMELRDf8ZdYCV3DnOYK+ALNmlpnUiN/E\n"
					     "johZYArN6ZxAzYaZ3Mnh71rMDJt8D2raRVfg7HXHww8aOrqJq7AKD+i4/LXF5y5k\n"
					     "jwYInRoVHV/E/jGjvg1bsrVHkc2pureLHBHJR/tm5DfaCYsPF5riYf1PqggVY6rv\n"
					     "VwIDAQAB\n"
					     "-----END PUBLIC KEY-----\n";
static const char test_fingerprint[] UNUSED = "SHA256:Nr+Fmyp5bXuk6rqq+4Jg7YmeiCf5RdiPP/cJzEUIk7I=";

#endif
