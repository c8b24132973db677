# A migration of its own, because an index can be built beside running writers only outside a transaction.

from django.db import migrations, models

from chat.migration_operations import AddIndexWithoutLock


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('chat', '0003_openai_protocol'),
    ]

    operations = [
        AddIndexWithoutLock(
            model_name='callrecord',
            index=models.Index(fields=['completion_id'], name='call_completion'),
        ),
        AddIndexWithoutLock(
            model_name='callrecord',
            index=models.Index(condition=models.Q(('stored', True)), fields=['created_at', 'id'], name='call_stored'),
        ),
    ]
