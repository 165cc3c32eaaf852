# debhelper sequence clipmaker-plugin: dh_clipmaker_plugin before the dependencies are written down
use strict;
use warnings;
use Debian::Debhelper::Dh_Lib;

insert_before('dh_installdeb', 'dh_clipmaker_plugin');

1;
