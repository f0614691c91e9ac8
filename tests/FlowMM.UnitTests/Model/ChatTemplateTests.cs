using FlowMM.Model;
using FlowMM.Model.Templates;
using Xunit;

namespace FlowMM.UnitTests.Model;

public sealed class ChatTemplateTests
{
    [Theory]
    [InlineData("{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ 1 + 2 * 3 }}", "3 -4 1 7")]
    [InlineData("{{ [1, 2, 3][1] }}{{ [1, 2, 3][-1] }}{{ [1, 2, 3][::-1] | join(',') }}", "233,2,1")]
    [InlineData("{% for i in range(3) %}{{ loop.index }}{{ ',' if not loop.last }}{% endfor %}", "1,2,3")]
    [InlineData("{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "3")]
    [InlineData("{% set n = 0 %}{% for i in [1, 2] %}{% set n = n + i %}{% endfor %}{{ n }}", "0")]
    [InlineData("{{ {'a': 'é<'} | tojson }}", "{\"a\": \"é<\"}")]
    [InlineData("{{ 'abc'.upper() + ' x '.strip() }}", "ABCx")]
    [InlineData("{{ x is defined }} {{ none is none }} {{ 'a' in 'cat' }}", "False True True")]
    [InlineData("  {%- if true %}\n  a\n  {%- endif %}\nb", "\n  ab")]
    public void Render_Expression_IsAsInJinja(string template, string expected) =>
        Assert.Equal(expected.TrimStart('\n'), Render(template).TrimStart('\n'));

    [Theory]
    [InlineData("{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}")]
    [InlineData("{% set ns = namespace(s='x') %}{% for a in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}")]
    [InlineData("{% set ns = namespace(s=[1]) %}{% for a in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}")]
    [InlineData("{% set ns = namespace(s='xx') %}{% for a in range(60) %}{% set ns.s = ns.s | replace('x', ns.s) %}{% endfor %}")]
    [InlineData("{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}")]
    [InlineData("{% set l = [] %}{% set _ = l.append(l) %}{{ l | tojson }}")]
    [InlineData("{% for a in range(90000) %}{% set x = range(90000) | length %}{% endfor %}")]
    [InlineData("{% set ns = namespace(l=[1]) %}{% for a in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}")]
    [InlineData("{% set ns = namespace(l=[1], m=[1]) %}{% for a in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m] %}{% endfor %}{{ ns.l == ns.m }}")]
    [InlineData("{{ range(90000) | unique | length }}")]
    [InlineData("{{ range(1000000000) }}")]
    [InlineData("{{ 'a'[1:'b'] }}")]
    [InlineData("{{ 1 / 'a' }}")]
    [InlineData("{{ 'a' | replace('a') }}")]
    [InlineData("{{ 99999999999999999999 }}")]
    [InlineData("{% break %}")]
    [InlineData("{{ raise_exception('no') }}")]
    public void Render_BoundlessOrWrong_EndsInTemplateException(string template) => Assert.Throws<TemplateException>(() => Render(template));

    [Theory]
    [InlineData("{{ ", "not ")]
    [InlineData("{{ ", "- ")]
    [InlineData("{{ ", "(")]
    [InlineData("{{ ", "a + ")]
    [InlineData("{{ a", ".b")]
    [InlineData("{{ a", "|trim")]
    [InlineData("", "{% if a %}")]
    [InlineData("", "{% for a in b %}")]
    public void Parse_DeepNesting_EndsInTemplateException(string before, string repeated)
    {
        string template = before + string.Concat(Enumerable.Repeat(repeated, 200_000)) + (before.StartsWith("{{ a", StringComparison.Ordinal) ? " }}" : "");
        Assert.Throws<TemplateException>(() => Render(template));
    }

    [Fact]
    public void Render_TemplateOfTextOnly_JoinsPartsAndRefusesPictures()
    {
        ChatTemplate template = new("{% for m in messages %}{{ m['role'] + ':' + m['content'] }}{% endfor %}", new Dictionary<string, object?>());
        ChatMessage text = new("user", [ChatPart.OfText("a"), ChatPart.OfText("b")]);
        Assert.Equal("user:ab", template.Render([text], true));
        Assert.Throws<TemplateException>(() => template.Render([new ChatMessage("user", [ChatPart.OfImage(1, 1)])], true));
    }

    [Fact]
    public void Render_TemplateOfPartsOnly_GetsPartsForPlainText()
    {
        ChatTemplate template = new(
            "{% for m in messages %}{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}{{ c['text'] }}{% endfor %}{% endfor %}",
            new Dictionary<string, object?>());
        Assert.Equal("hello", template.Render([new ChatMessage("user", [ChatPart.OfText("hello")])], true));
    }

    private static string Render(string template) => new ChatTemplate(template, new Dictionary<string, object?>()).Render(new Dictionary<string, object?>());
}
