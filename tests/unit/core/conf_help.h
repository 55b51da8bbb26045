/* Helpers of the configuration's tests: a folder of its own with files, a clean environment, throw-away keys. */
#ifndef TEST_CONF_HELP_H
#define TEST_CONF_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snowgate/conf.h"

/* RSA keys made for these tests and used nowhere else. */
UNUSED static const char key_plain[] = "-----BEGIN PRIVATE KEY-----\n"
				       "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDFLG/1BdQdadyS\n"
				       "Hd89Ghi5JtlLfMxMqKeGxq93EJFl53cH3MhJDBkLfbSxfRLdk19c0mbQcL/WxMK5\n"
				       "GJBjum/bqEGmCbPGys+aMx0pVafkFU3PHQ0e3qn4TXfW2bMThzfVVjOrk4EtNqAH\n"
				       "/iC40zdq36vK1nemVC36yp1syN14WwwZwvcEbVyxRskImJXRaL0fZlyEYSP7BBw6\n"
				       "Yw5Yu3tQhVgxANdM+VJogbrNwWhf0rtgXD4Ni5HZvXRjAF70QdyHC80GAeMqmBqV\n"
				       "KqvyfXqpsdYvYRk60aJQxdGVnNNOD0hv2NUfV3zVMNDLq+923daTMdIFKDjFTYSI\n"
				       "zqFkBh2BAgMBAAECggEAFT01rCOeFzMFjvnHx8mtWxhrtL1zNli+fv6c/QrcVqlJ\n"
				       "wZ+PNYsnkXzPf4T1CMgssA98Arz6dTSJsy2JtCxrizJDLBMEegfzt+0EmaS/6oo+\n"
				       "8O30sVwT3ArgO1UE/LgGlCTueO9xLUEimOnPdYlPAWSpmTZj+hc8QrUboxG6BZI8\n"
				       "wfjLUNIRTTYAGjb/GAJKUXrDXtDJNIPhz/DzGQIwk7+9O5nT9WnQllkmP2WSmZKH\n"
				       "qILToklPi2/9JaWoq1hBGtb62BX+tuHMwqvGXMMBmyWRJbtbCu0a7WGNAOV5cl4v\n"
				       "wKexs4FWl43R/mWH1YF4TxxHAkDUb7F/y7clmc1IIQKBgQDjbhMyoFu9BBAEN+no\n"
				       "PD4lX6McmapzW+YJJIHs4ltEhn0Ks9pN2VPE74yU6gAr8+DQUIgIAOlLVf2515gM\n"
				       "1UlKIxTYnia3Pr4PUnaIyMhhDE+7MpoJ0K2IUFd5vElJ9MmpKfJAQzOQvbGVpjmq\n"
				       "anWlfq01Ywd5CWzdF01WVojciQKBgQDd8VinDMBV2lB8dljeP2h7b5TycAw3RiR/\n"
				       "2F4XnlPTuGpJV7A+hfMenCkcFCw2ajMcbsQ7YD2dbbMfyVV9HGGE85mf7Z5m1dbm\n"
				       "7QfU4zLLBuJ8DZqE4QZHyNJ891pguLY7rpOLQtYUa5zWlKDgsFLgLI6wThNhDMPT\n"
				       "QnlJIfIrOQKBgQCIB8vFyTJ14Nsvmr32YSoOsqBeN+9CpqH1r/diV5WdbA+YejDF\n"
				       "xYqcTWe5nijSIUHDd5eVqe3gWKO1J6XTbzMx+7+5PQcNLaMCiSFK+UUY/wMlhcOq\n"
				       "wT06PkvEDYGMkbSY0PULyOYr2bpBNzZgnuKVRSqWtw++LowFxa1FSeb8eQKBgF7F\n"
				       "nVaP8l12wOG045PbvbDf39l6kSzVLebNrLgnKqKA4Bn7cM3yAvPyOPe9gXem97ZP\n"
				       "cknsecMMwe1z2qZ3BQlxwArzu60r6P1o/+wfLGRXx0SzxmSxdi4XChLEyPn+RgrM\n"
				       "LELOQn4ryagzhVMM2AbT4AZXAJ1zhvdiLkpVTYS5AoGBAJilU7t+/51D5eXoa1xh\n"
				       "NrW3MBTVl3dnTt+rm9HgX4sNSTPWPtxDr+WiGGPkHV56ZoF1rtTCWYhpJY5Mb4Uk\n"
				       "fRgAj4rD6s8RZi4PnUwtkXZHQb9SnanX5Yh25SVMyAfO+29Nx29pQzDenNbkJXFH\n"
				       "vLCA+MErHw5PprnHloVaorHS\n"
				       "-----END PRIVATE KEY-----\n";
/* key_plain under the passphrase "correct". */
UNUSED static const char key_encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
					   "MIIFLTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQIVPqM1lvP784CAggA\n"
					   "MAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEqBBAJzzapb/1may8nuPmmN1JUBIIE\n"
					   "0HlCmRNWQSR+nvM0s3XFiFUT/BUYq1Eg81xl0WGjw0B8PEjK52a/J8Q4P7gwAxrX\n"
					   "w2E27W0C46k+YfJYm2qxmWDACyswn9FBy0EkFZgyYR0WD4wEj1f/+s8bEiTDbnzA\n"
					   "9i5myMuOx1BQz2WczYOAUfQm/Q/8IXhVfv1x7yiV9H0dDcCfIBZ2NukLAVhdW3H2\n"
					   "HsoOW22q+CCCzNB2d1sxDy8RsVRn6TsrZkbhcdcfXrMueBHscV/cRNXVaFe1NyS9\n"
					   "IdZSIoNND2mqaV3mg51CbIOQ9KLdAv5X4MfpQFYhS/vkgdu40lYk7WE3uy+jEzOr\n"
					   "vnWPNtWdzyce65iXcMQGCU6J2d2ym8/shZKWLx5k2jfpzvYaWNh13X9uvXHtFwCg\n"
					   "TJdaN+Pcc/vYGSqS6F51q4ai4hU859/yHLTcN7ME0+e+7+HgJMbj7XRWcn1STxzN\n"
					   "4I3pbGOGlio90cy2LfjttmxbCGY2vcUajbXjE6PTKXftsYsRYZGnMJE96KNtwZte\n"
					   "kTM+Lk1ZZpTctI2bwVqkPj8pyij17/D1aKS16kjPJxTSUTrWMvNPm/9/Z0AF/HUa\n"
					   "ZQaoSdoSrtucTIxQyNxbz0UTUJGhl/BvYwAyWr2SlI++lc9yrOmjta4ES+SwKGrg\n"
					   "V7EXDj4WF3k/1xVte8la6vBWKvV71sKNYBFUfPNLuajd3nWJIJRAOGHxJ1kB+zzs\n"
					   "rnwQxeOZwdWFyVczx2QPk1zL1pT5kCUghxtDaeoFCvHSSnidXwbaHO3ExdgK4FkC\n"
					   "matF8kcWN1orhLnWlsTaCLSx96kOAqmYwQ2iD3KSUzsaFSDVmywkX0GtANebqQII\n"
					   "p22Qm9b1YPEoknHYMVJeewAZpwSZd/vJ83v4OF1GqPLmR/jFH5kd5i0hD8uDzj6T\n"
					   "1MeZVwEJ8LoIJ5sReyby6/2029XGkKAETi9GtHDHl8pJVLwjoqH9qgbZTR+bLj/r\n"
					   "AA8UmPHVuocv0OhpFLFtXDHe2IV5XRdY5uGed4k4XUCtFKrNiNEkxMiH1eBhXVGl\n"
					   "25YlOxIaIROq3gxHPZp0Y+BcqMeOV6evcb/gafNcfJ4ka4Iyet17P2an2i/FBEXc\n"
					   "1gxwzF5azs4xlSxkqplJqLDEw2g8lQSel6Me1xxc1t7S9AMs1bcmGBX1rVWKYatK\n"
					   "HZuB5wtEAQ7R+gn3WZyrohnbgv8Ol1KtjrfZ2Od59cmGjAgtzbWYWqU3MPdfVDAQ\n"
					   "KLXGICwGN2Eu42pKXUlL40uloZDyn2XP/1EIJvHc2DlvK2124dhenByTHkudRxZR\n"
					   "u9eimdrH+qRM+TUG3q5q+FA0FUsiBI9LHDn8pktKZxGbXlBhVgXpvxhUZkuDXYQR\n"
					   "N8n4W83b6QG0EiTCP5YmCZQmFh++ONL4tHGIJkR4PEc5gjq2pdOh5UM41ql7ZzbF\n"
					   "qCE6JjE+TKZeRcvuf0IZ/VqHuBurxE1QBFC+VZMu+fn+ymATRcuMbcNj1lNqGkvk\n"
					   "wHIHte3UAs7dW4OriN8ZyRceKF3EfWls9qBjDH1BqKmRor3au1RiTwcnZmZu8u9Z\n"
					   "U5pTGHBjwXXaf8A87fpgm4q2WyvYXKwa2YOsAMGRBRv3O2Qt9lYVH4uZyGPt+ydW\n"
					   "uT6TMqF2C2Ap84rpztSdM2HSJk286xIvdRIt3De15Tbo\n"
					   "-----END ENCRYPTED PRIVATE KEY-----\n";
/* 1024 bits. */
UNUSED static const char key_short[] = "-----BEGIN PRIVATE KEY-----\n"
				       "MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBALJsRTjVLXXnIVS6\n"
				       "UPnux7zq6NrlHqtH259yEu+25O1TfKsvO9D72UO0Sdf6OuAy+aAVJN3StIOexIx6\n"
				       "U2UhdxWJOOS0OjC+kCCAbRnb+LIEBmrgDFi4JqbSjaMnHzD/RJpUTa0vb2VoAe6E\n"
				       "VyF4lGbl6XeWXLdd4UkdWFRjwC/FAgMBAAECgYB/Ws7yKR/g55CgBLmmHK1PiLGb\n"
				       "BS4l/g2iuu8PUhIH4K69FeLxYcMME5Ud54u82kXZ4R3GhA67YElVKD98kS2I6+ca\n"
				       "+lG9NS7eb33ovUk4KfLJTu3rS+ZwCpCVwVOGhYLA9uwopyLp9mJpY3cqU0drQUNB\n"
				       "nIn5LU5e95ZV6fO14QJBAO3Zk9YSDioNsFR94Oo8cdk3uY5cxZv7ZGUNQmyf4hTm\n"
				       "ODHv0dRiY5Wp+ntn2b3AJ48+GFVp849ocbPORz1w7e0CQQDACcfdqnHAdYZqX9Aw\n"
				       "FZDG3j0d4EShGptbRN4gdcw98Z6UiiHNVK4xsfCC4bs4SdrZF/x9648gVpfBgjp1\n"
				       "8U45AkEAmCcLj3HVZcmD90jfTHiGS/J93TgzoWjb/FjTGTHeKohrgmZr0HVwRxmJ\n"
				       "htAUVnJJ3DRY1KsGh8LEmcVnhUJssQJANKH5n21Zo/ASGRGNk8A1X+wFQCz5YlZS\n"
				       "gh9L6gWfJtMULY32Wbp9y60DSDvp/jFvw9RpJXHsVmalTSoOL8klMQJBAL1e8CXt\n"
				       "teRbUYAlTRSdyZ3EoksAicNGkAJP5XYKIn0V1NnWgeXw5dtmnwokQsCYq+r6b2sY\n"
				       "zcSnfPFqDvSMy8k=\n"
				       "-----END PRIVATE KEY-----\n";

static char folder[64];

UNUSED static const char *in_folder(const char *name)
{
	static char paths[8][160];
	static unsigned next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

UNUSED static const char *write_mode(const char *name, const char *text, unsigned mode)
{
	const char *path = in_folder(name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

UNUSED static const char *write_file(const char *name, const char *text)
{
	return write_mode(name, text, 0600);
}

/* A home without any configuration, and no variable that could change a load. */
UNUSED static int clean_environment(void **state UNUSED)
{
	assert_int_equal(clearenv(), 0);
	snprintf(folder, sizeof(folder), "/tmp/snowgate-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	return setenv("HOME", folder, 1);
}

UNUSED static int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED, struct FTW *at UNUSED)
{
	return remove(path);
}

UNUSED static int remove_folder(void **state UNUSED)
{
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Loads conf.yaml with this text; there must be no fault. */
UNUSED static const struct conf *load_good(const char *yaml, struct conf_faults *faults)
{
	const struct conf *conf = conf_load(write_file("conf.yaml", yaml), faults);
	for (size_t i = 0; i < faults->n; i++)
		print_error("line %d: %s: %s\n", faults->v[i].line, faults->v[i].key, faults->v[i].reason);
	assert_non_null(conf);
	assert_int_equal(faults->n, 0);
	return conf;
}

#endif
