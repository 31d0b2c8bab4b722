"""Readings that the pronouncing dictionary lacks or gets wrong.

Words with a neutral tone are read as the bundled voice was taught them: the table below is the one its corpus was
labelled with (tone 5 is the neutral tone; some entries are there to say that the tone is *not* neutral).
"""

from __future__ import annotations


def _table(text: str) -> dict[str, tuple[str, ...]]:
    entries = (entry.split() for entry in text.split(";") if entry.strip())
    return {word: tuple(readings) for word, *readings in entries}


# Common words with a neutral syllable, and look-alikes.
NEUTRAL = _table("""
耳朵 er3 duo5; 朋友 peng2 you5; 衣服 yi1 fu5; 告诉 gao4 su5; 漂亮 piao4 liang5; 事情 shi4 qing5; 东西 dong1 xi5;
时候 shi2 hou5; 先生 xian1 sheng5; 学生 xue2 sheng5; 喜欢 xi3 huan5; 便宜 pian2 yi5; 舒服 shu1 fu5;
明白 ming2 bai5; 窗户 chuang1 hu5; 眼睛 yan3 jing5; 头发 tou2 fa5; 休息 xiu1 xi5; 消息 xiao1 xi5; 早上 zao3 shang5;
晚上 wan3 shang5; 认识 ren4 shi5; 觉得 jue2 de5; 记得 ji4 de5; 太阳 tai4 yang5; 月亮 yue4 liang5; 豆腐 dou4 fu5;
萝卜 luo2 bo5; 葡萄 pu2 tao5; 打听 da3 ting5; 麻烦 ma2 fan5; 故事 gu4 shi5; 客气 ke4 qi5; 力气 li4 qi5;
脾气 pi2 qi5; 大夫 dai4 fu5; 钥匙 yao4 shi5; 意思 yi4 si5; 清楚 qing1 chu5; 热闹 re4 nao5; 暖和 nuan3 huo5;
凉快 liang2 kuai5; 商量 shang1 liang5; 收拾 shou1 shi5; 打扮 da3 ban5; 精神 jing1 shen5; 厉害 li4 hai5;
聪明 cong1 ming5; 糊涂 hu2 tu5; 地方 di4 fang5; 关系 guan1 xi5; 亲戚 qin1 qi5; 邻居 lin2 ju1; 屁股 pi4 gu5;
骨头 gu3 tou5; 石头 shi2 tou5; 木头 mu4 tou5; 舌头 she2 tou5; 馒头 man2 tou5; 点心 dian3 xin5; 动静 dong4 jing5;
本事 ben3 shi5; 胳膊 ge1 bo5; 指甲 zhi1 jia5; 星星 xing1 xing5; 猩猩 xing1 xing5; 哥哥 ge1 ge5; 姐姐 jie3 jie5;
弟弟 di4 di5; 妹妹 mei4 mei5; 爸爸 ba4 ba5; 妈妈 ma1 ma5; 爷爷 ye2 ye5; 奶奶 nai3 nai5; 叔叔 shu1 shu5;
谢谢 xie4 xie5; 看看 kan4 kan5; 行李 xing2 li5; 黄瓜 huang2 gua5; 西瓜 xi1 gua5; 棉花 mian2 hua5; 云彩 yun2 cai5;
机灵 ji1 ling5; 小心 xiao3 xin1; 师傅 shi1 fu5; 护士 hu4 shi5; 唠叨 lao2 dao5; 啰嗦 luo1 suo5; 踏实 ta1 shi5;
老实 lao3 shi5; 结实 jie1 shi5; 扎实 zha1 shi5; 稀罕 xi1 han5; 新鲜 xin1 xian1; 吩咐 fen1 fu5; 答应 da1 ying5;
耽误 dan1 wu5; 琢磨 zuo2 mo5; 折腾 zhe1 teng5; 疙瘩 ge1 da5; 伙计 huo3 ji5; 生意 sheng1 yi5; 称呼 cheng1 hu5;
招呼 zhao1 hu5; 照顾 zhao4 gu4; 蘑菇 mo2 gu5; 刺猬 ci4 wei5; 苍蝇 cang1 ying5; 狐狸 hu2 li5; 老鼠 lao3 shu3;
蝴蝶 hu2 die2; 玻璃 bo1 li5; 喇叭 la3 ba5; 帐篷 zhang4 peng5; 包袱 bao1 fu5; 笤帚 tiao2 zhou5; 扫帚 sao4 zhou5;
抽屉 chou1 ti5; 灯笼 deng1 long5; 炊帚 chui1 zhou5; 下来 xia4 lai5; 上来 shang4 lai5; 回来 hui2 lai5;
出来 chu1 lai5; 起来 qi3 lai5; 进来 jin4 lai5; 过来 guo4 lai5; 出去 chu1 qu5; 回去 hui2 qu5; 过去 guo4 qu4;
进去 jin4 qu5; 里面 li3 mian5; 外面 wai4 mian5; 上面 shang4 mian5; 下面 xia4 mian5; 前面 qian2 mian5;
后面 hou4 mian5; 旁边 pang2 bian1
""")

# Further words of the same kind.
WORDS = NEUTRAL | _table("""
不好意思 bu4 hao3 yi4 si5; 和尚 he2 shang5; 知识 zhi1 shi5; 名字 ming2 zi5; 姑娘 gu1 niang5; 裁缝 cai2 feng5;
铃铛 ling2 dang5; 没关系 mei2 guan1 xi5; 多少 duo1 shao5; 小时候 xiao3 shi2 hou5; 包裹 bao1 guo3;
早上好 zao3 shang5 hao3; 石榴 shi2 liu5; 庄稼 zhuang1 jia5; 呼噜 hu1 lu5; 打呼噜 da3 hu1 lu5;
爸爸妈妈 ba4 ba5 ma1 ma5; 相声 xiang4 sheng5; 主意 zhu3 yi5; 部分 bu4 fen5; 瀑布 pu4 bu4; 睡不着 shui4 bu4 zhao2;
喂 wei2; 哇 wa1; 呸 pei1; 哦 o4; 石榴树 shi2 liu5 shu4; 着火 zhao2 huo3; 着急 zhao2 ji2; 着凉 zhao2 liang2;
着迷 zhao2 mi2; 吵吵闹闹 chao3 chao3 nao4 nao4; 油炸 you2 zha2; 炸鸡 zha2 ji1; 结巴 jie1 ba5; 似的 shi4 de5;
给予 ji3 yu3; 主角 zhu3 jue2; 落下 luo4 xia4; 呱呱 gua1 gua1; 重试 chong2 shi4; 重置 chong2 zhi4; 重构 chong2 gou4;
重写 chong2 xie3; 重来 chong2 lai2; 重做 chong2 zuo4; 重传 chong2 chuan2; 重采样 chong2 cai3 yang4;
行数 hang2 shu4; 色子 shai3 zi5; 教 jiao1; 弹 tan2; 盛 cheng2; 自转 zi4 zhuan4; 自个儿 zi4 ge3 er2;
行长 hang2 zhang3; 倔 jue4; 嗯 en4; 呃 e4; 哎 ai1; 嘿 hei1; 噢 o1; 喔 o1; 咯 lo5; 哼 heng1;
士大夫 shi4 da4 fu1; 哪儿 na3 er5; 这儿 zhe4 er5; 那儿 na4 er5; 玩儿 wan2 er5; 点儿 dian3 er5; 一点儿 yi4 dian3 er5;
有点儿 you3 dian3 er5; 事儿 shi4 er5; 花儿 hua1 er5; 会儿 hui4 er5; 今儿 jin1 er5; 明儿 ming2 er5; 味儿 wei4 er5;
着实 zhuo2 shi2; 大佛 da4 fo2; 舍不得 she3 bu5 de5; 照片 zhao4 pian4; 大学生 da4 xue2 sheng1;
中学生 zhong1 xue2 sheng1; 小学生 xiao3 xue2 sheng1; 留学生 liu2 xue2 sheng1; 宝宝 bao3 bao5; 太太 tai4 tai5;
老婆 lao3 po5; 丈夫 zhang4 fu5; 爱人 ai4 ren5; 夫人 fu1 ren5; 欺负 qi1 fu5; 吓唬 xia4 hu5; 葫芦 hu2 lu5;
核桃 he2 tao5; 泥鳅 ni2 qiu5; 尝尝 chang2 chang5; 玩玩 wan2 wan5; 哟 yo5; 耶 ye5; 喽 lou5; 图为 tu2 wei2; 此为 ci3 wei2;
均为 jun1 wei2; 皆为 jie1 wei2; 即为 ji2 wei2; 实为 shi2 wei2;
查查 cha2 cha5; 麻将 ma2 jiang4; 拧开 ning3 kai1; 喉咙 hou2 long5; 栅栏 zha4 lan5; 娃娃 wa2 wa5; 大爷 da4 ye5
""")

# Read so wherever they occur in a clause, however the words are cut. The longest that fits wins.
PHRASES = _table("""
行长 hang2 zhang3; 一行代码 yi1 hang2 dai4 ma3; 太阳转 tai4 yang5 zhuan4; 地球转 di4 qiu2 zhuan4; 倒吐 dao4 tu3;
知多少 zhi1 duo1 shao3; 那么长 na4 me5 chang2; 这么长 zhe4 me5 chang2; 多长 duo1 chang2; 很长 hen3 chang2;
太长 tai4 chang2; 一场电影 yi1 chang3 dian4 ying3; 睡不着 shui4 bu4 zhao2; 睡着 shui4 zhao2;
看来得去 kan4 lai2 dei3 qu4; 天哪 tian1 na5; 万重山 wan4 chong2 shan1; 依山尽 yi1 shan1 jin4; 亦说乎 yi4 yue4 hu1;
转了一 zhuan4 le5 yi1; 量了量 liang2 le5 liang2; 差零 cha4 ling2; 吱的 zhi1 de5; 教得 jiao1 de5; 教不 jiao1 bu4;
教会了 jiao1 hui4 le5; 背着 bei1 zhe5; 数到 shu3 dao4; 数不 shu3 bu4; 第一行 di4 yi1 hang2; 弹着 tan2 zhe5;
还钱 huan2 qian2; 还书 huan2 shu1; 还给 huan2 gei3; 一只 yi1 zhi1; 两只 liang3 zhi1; 行数 hang2 shu4;
地方政府 di4 fang1 zheng4 fu3; 数一数 shu3 yi5 shu3; 调小 tiao2 xiao3; 调大 tiao2 da4; 调高 tiao2 gao1; 调低 tiao2 di1;
调到 tiao2 dao4; 朝阳区 chao2 yang2 qu1;
睡不着觉 shui4 bu4 zhao2 jiao4; 睡好觉 shui4 hao3 jiao4; 睡个觉 shui4 ge5 jiao4; 睡了一觉 shui4 le5 yi2 jiao4;
单老师 shan4 lao3 shi1; 单先生 shan4 xian1 sheng5; 曾先生 zeng1 xian1 sheng5; 曾老师 zeng1 lao3 shi1;
曾女士 zeng1 nv3 shi4; 大佛 da4 fo2; 全长 quan2 chang2; 总长 zong3 chang2; 数羊 shu3 yang2;
男子 nan2 zi3; 女子 nv3 zi3; 弟子 di4 zi3; 孔子 kong3 zi3; 老子说 lao3 zi3 shuo1; 母子 mu3 zi3; 父子 fu4 zi3;
电子 dian4 zi3; 精子 jing1 zi3; 卵子 luan3 zi3; 孙子兵法 sun1 zi3 bing1 fa3; 长达 chang2 da2; 倒在 dao3 zai4;
摔倒 shuai1 dao3; 按倒 an4 dao3; 在地上 zai4 di4 shang4; 倒在地 dao3 zai4 di4; 小曾 xiao3 zeng1; 老曾 lao3 zeng1
""")
