CREATE TABLE computer15 (reference VARCHAR(255), address VARCHAR(255), netmask VARCHAR(255));
INSERT INTO computer15 VALUES ('local', '10.0.0.1', '255.0.0.0');
INSERT INTO computer15 VALUES ('other', '10.0.0.1', '255.0.0.0');
CREATE TABLE forwarded_partition_request15 (partition_reference VARCHAR(255), master_url VARCHAR(255));
CREATE TABLE local_software_release_root15 (path VARCHAR(255));
INSERT INTO local_software_release_root15 VALUES ('/');
CREATE TABLE partition15 (reference VARCHAR(255), computer_reference VARCHAR(255), slap_state VARCHAR(255), software_release VARCHAR(255), xml TEXT, connection_xml TEXT, slave_instance_list TEXT, software_type VARCHAR(255), partition_reference VARCHAR(255), requested_by VARCHAR(255), requested_state VARCHAR(255), timestamp REAL);
INSERT INTO partition15 VALUES ('slappart0', 'local', 'busy', 'http://release.invalid/software.cfg', '<?xml version=''1.0'' encoding=''utf-8''?>
<instance>
  <parameter id="b">2</parameter>
  <parameter id="greeting">hé &amp; &lt;b&gt; "x"</parameter>
</instance>
', NULL, '<marshal><list id="i2"><dictionary id="i3"><string>domain</string><string>front_end.invalid</string><string>slap_software_type</string><string>default</string><string>slave_reference</string><string>slappart1_front_end</string><string>slave_title</string><string>slappart1_front_end</string></dictionary><dictionary id="i4"><string>domain</string><string>alone.invalid</string><string>slap_software_type</string><string>default</string><string>slave_reference</string><string>_alone</string><string>slave_title</string><string>_alone</string></dictionary></list></marshal>', 'default', 'first', NULL, 'started', 1795268573.8580651);
INSERT INTO partition15 VALUES ('slappart1', 'local', 'busy', 'http://release.invalid/other.cfg', '<?xml version=''1.0'' encoding=''utf-8''?>
<instance/>
', '<?xml version=''1.0'' encoding=''utf-8''?>
<instance>
  <parameter id="url">http://[::1]:8080/?a=1&amp;b=2</parameter>
</instance>
', NULL, 'small', 'kid', 'slappart0', 'stopped', 1795268573.5490103);
INSERT INTO partition15 VALUES ('slappart2', 'local', 'busy', 'http://release.invalid/other.cfg', '<?xml version=''1.0'' encoding=''utf-8''?>
<instance/>
', NULL, NULL, 'default', 'grandkid', 'slappart1', 'started', 1795268573.5201387);
INSERT INTO partition15 VALUES ('slappart3', 'local', 'busy', 'http://release.invalid/software.cfg', '<?xml version=''1.0'' encoding=''utf-8''?>
<instance/>
', NULL, NULL, 'default', 'dying', NULL, 'destroyed', 1795268573.6702492);
INSERT INTO partition15 VALUES ('slappart4', 'local', 'free', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'started', NULL);
INSERT INTO partition15 VALUES ('slappart0', 'other', 'busy', 'http://release.invalid/software.cfg', '<?xml version=''1.0'' encoding=''utf-8''?>
<instance/>
', NULL, NULL, 'default', 'second', NULL, 'started', 1795268573.607488);
INSERT INTO partition15 VALUES ('slappart1', 'other', 'free', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'started', NULL);
CREATE TABLE partition_network15 (partition_reference VARCHAR(255), computer_reference VARCHAR(255), reference VARCHAR(255), address VARCHAR(255), netmask VARCHAR(255));
INSERT INTO partition_network15 VALUES ('slappart0', 'local', 'tap0', '10.0.0.0', '255.255.255.255');
INSERT INTO partition_network15 VALUES ('slappart0', 'local', 'tap0', 'fd00::0', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff');
INSERT INTO partition_network15 VALUES ('slappart1', 'local', 'tap1', '10.0.0.1', '255.255.255.255');
INSERT INTO partition_network15 VALUES ('slappart1', 'local', 'tap1', 'fd00::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff');
INSERT INTO partition_network15 VALUES ('slappart2', 'local', 'tap2', '10.0.0.2', '255.255.255.255');
INSERT INTO partition_network15 VALUES ('slappart2', 'local', 'tap2', 'fd00::2', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff');
INSERT INTO partition_network15 VALUES ('slappart3', 'local', 'tap3', '10.0.0.3', '255.255.255.255');
INSERT INTO partition_network15 VALUES ('slappart3', 'local', 'tap3', 'fd00::3', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff');
INSERT INTO partition_network15 VALUES ('slappart4', 'local', 'tap4', '10.0.0.4', '255.255.255.255');
INSERT INTO partition_network15 VALUES ('slappart4', 'local', 'tap4', 'fd00::4', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff');
INSERT INTO partition_network15 VALUES ('slappart0', 'other', 'tap0', '10.0.0.0', '255.255.255.255');
INSERT INTO partition_network15 VALUES ('slappart0', 'other', 'tap0', 'fd00::0', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff');
INSERT INTO partition_network15 VALUES ('slappart1', 'other', 'tap1', '10.0.0.1', '255.255.255.255');
INSERT INTO partition_network15 VALUES ('slappart1', 'other', 'tap1', 'fd00::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff');
CREATE TABLE slave15 (reference VARCHAR(255), computer_reference VARCHAR(255), connection_xml TEXT, hosted_by VARCHAR(255), asked_by VARCHAR(255));
INSERT INTO slave15 VALUES ('slappart1_front_end', 'local', '<?xml version=''1.0'' encoding=''utf-8''?>
<instance>
  <parameter id="site">https://front_end.invalid/</parameter>
</instance>
', 'slappart0', 'slappart1');
INSERT INTO slave15 VALUES ('_alone', 'local', '<?xml version=''1.0'' encoding=''utf-8''?>
<instance>
  <parameter id="site">https://alone.invalid/</parameter>
</instance>
', 'slappart0', '');
INSERT INTO slave15 VALUES ('_gone', 'local', NULL, 'slappart0', '');
CREATE TABLE software15 (url VARCHAR(255), computer_reference VARCHAR(255), requested_state VARCHAR(255));
INSERT INTO software15 VALUES ('http://release.invalid/software.cfg', 'local', 'available');
INSERT INTO software15 VALUES ('http://release.invalid/other.cfg', 'local', 'destroyed');
INSERT INTO software15 VALUES ('http://release.invalid/software.cfg', 'other', 'available');
